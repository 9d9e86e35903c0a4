// pause holds a pod's namespaces open, adopts and reaps its orphans, and leaves on SIGINT or SIGTERM.
//
// These few lines are kubeinstall's own: upstream's pause is a C program that no Go module carries. The image made from
// it stands in for registry.k8s.io/pause where no registry answers.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var version = "unknown" // set when linking

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "-v" || os.Args[1] == "--version") {
		fmt.Println("pause", version)
		return
	}
	// A child that exits sends SIGCHLD; several may be merged into one, so each wakes a loop that takes all there are.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if child, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.EINTR && child <= 0 {
				break
			}
		}
	}
}
