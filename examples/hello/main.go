// Command hello is a service on Millrace: lists, such as a shopping list, and
// the items on the lists.
package main

import (
	"os"

	"github.com/millrace/millrace/router/service"
)

func main() {
	os.Exit(service.Main(domain))
}
