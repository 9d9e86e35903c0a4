module kubeinstall/components/pause

go 1.24.0
