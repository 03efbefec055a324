// Command app is Millrace: a message router that takes commands over HTTP,
// decides commands in order, keeps events in Kafka, and answers queries from read
// models. One binary, four roles; see README.md.
package main

import (
	"os"

	"github.com/millrace/millrace/router/service"
)

func main() {
	os.Exit(service.Main(domain))
}
