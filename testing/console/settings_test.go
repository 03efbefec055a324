package console

import (
	"testing"

	"github.com/millrace/millrace/router/service/servicetest"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s := servicetest.Start(t, t.TempDir(), "handlers.outcomes_per_stream=7", "kafka.topic_prefix=shop.")
	w := open(t, s, "#/settings", wide)
	w.shows("shop.millrace.command-service")
	w.shows("shop.dead-letters")
	w.shot("settings-wide")
	w.accessible()
	w.fill("Find a key", "outcomes_per")
	w.wait("one row is left", `[...document.querySelectorAll('table')].at(-1).querySelectorAll('tbody tr').length === 1`)
	w.shows("flag")
	n := open(t, s, "#/settings", narrow)
	n.shows("shop.millrace.command-service")
	n.dark()
	n.shot("settings-narrow-dark")
	n.accessible()
}
