// etcd as a program of a module of our own: its published go.mod holds replace directives, so it does not install by name.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
