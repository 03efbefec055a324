package console

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// A rebuild is watched, cancelled, and done; generations are swapped, rolled
// back and dropped; a wrong row is found and repaired.
func TestReadModels(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	for i := range 60 {
		s.send(202, "createUser", fmt.Sprint(i), "Name "+hostile)
	}
	s.send(200, "createUser", "last", "Last")
	w := open(t, s.Service, "#/models", wide)
	w.shows("up to date")
	w.accessible()
	card := "section[aria-label=names] "
	s.begin(slow)
	w.click(card+"button", "Rebuild")
	w.click("dialog button", "Rebuild")
	w.wait("the bar moves", "document.querySelector('.job progress')?.value > 0 && document.querySelector('.job progress').value < 61")
	w.shows("building")
	w.shot("rebuild-wide")
	w.accessible()
	w.click(".job button", "Cancel")
	w.shows("cancelled")
	s.end(slow)
	w.click(card+"button", "Fill only")
	w.shows("It is ready to swap")
	w.click(card+"td button", "Swap")
	w.click("dialog button", "Swap")
	w.shows("is live. Generation 1 is kept")
	w.click(card+"button", "Roll back")
	w.click("dialog button", "Roll back")
	w.shows("Generation 1 is live")
	w.wait("generation 1 is live", `[...document.querySelectorAll('section[aria-label=names] tbody tr')].some((r) => r.cells[0].innerText === '1' && r.cells[1].innerText === 'live')`)
	w.click(card+"td button", "Drop")
	w.click("dialog button", "Drop")
	w.shows("is dropped")

	store, err := sqlstore.OpenSQLite(t.Context(), s.dir+"/read.db")
	if err != nil {
		t.Fatal(err)
	}
	err = store.Hold(t.Context(), names, func(tx readmodel.Tx, _ readmodel.View) error {
		return tx.Put(t.Context(), "names", []projection.Row{{"1", "Wrong " + hostile}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	w.click(card+"button", "Verify")
	w.shows("names: 1 place differ")
	w.harmless()
	w.click(card+"button", "Repair")
	w.click("dialog button", "Verify and repair")
	w.shows("mended, and proven")
	w.harmless()
	w.click("button", "Verify all")
	w.wait("all are proven", "document.querySelector('.job').innerText.startsWith('Verify users, ') && document.querySelector('.job .badge').innerText === 'proven'")
	w.shows("7 earlier jobs")
	w.shot("models-wide")
	w.accessible()
	n := open(t, s.Service, "#/models", narrow)
	n.shows("up to date")
	n.dark()
	n.click("summary", "Checkpoints")
	n.shot("models-narrow-dark")
	n.accessible()
}
