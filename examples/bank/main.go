// Command bank is a service on Millrace: accounts with unique numbers, and
// transfers between accounts.
package main

import (
	"os"

	"github.com/millrace/millrace/router/service"
)

func main() {
	os.Exit(service.Main(domain))
}
