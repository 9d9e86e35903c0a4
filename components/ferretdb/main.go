// ferretdb speaks MongoDB's protocol on :27017 and keeps its data in SQLite files under --state.
//
// These few lines are kubeinstall's own: upstream's command does not start when it is built as a dependency (it looks
// for a version file of its repository), its embeddable package does.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

var version = "unknown" // set when linking

func main() {
	listen := flag.String("listen", or("FERRETDB_LISTEN_ADDR", ":27017"), "address to listen on (FERRETDB_LISTEN_ADDR)")
	state := flag.String("state", or("FERRETDB_STATE_DIR", "/data/db"), "folder of the databases (FERRETDB_STATE_DIR)")
	show := flag.Bool("version", false, "print the version and leave")
	flag.Parse()
	if *show {
		fmt.Println("ferretdb", version)
		return
	}
	folder, err := filepath.Abs(*state)
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err != nil {
		log.Fatal(err)
	}
	database, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: *listen},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := database.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

func or(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
