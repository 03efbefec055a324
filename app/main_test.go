package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain makes this binary the program too: under the name app, which is in
// the PATH of all tests, it is main. So what the tests start is real
// processes, with the race detector in them, that can be killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"app": func() {
		carryBrokenRule()
		carryNewerEvent()
		carryWiderUsers()
		main()
	}, "hold": holdConnections})
}
