package console

import (
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/router/service/servicetest"
)

// The pictures of the README, in bin/console: set CONSOLE_PICTURES, and copy
// readme-*.png to docs. Traffic of a minute makes the charts worth a look.
func TestPicturesOfTheReadme(t *testing.T) {
	if os.Getenv("CONSOLE_PICTURES") == "" {
		t.Skip("sends commands for a minute; set CONSOLE_PICTURES")
	}
	s := servicetest.Start(t, t.TempDir())
	send(t, s)
	w := open(t, s, "#/overview", wide)
	time.Sleep(75 * time.Second)
	w.shotTo("readme-overview", 720)
	w.dark()
	w.visit("#/log")
	w.shows("commandRefused")
	w.click("button", "Pause")
	w.run("document.querySelectorAll('.records summary')[2].click()")
	w.shows("ce_commandhash")
	w.shotTo("readme-log", 720)
}
