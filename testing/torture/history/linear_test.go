package history

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// A command without an answer fits anywhere: before the first read with the
// command's effect, or nowhere.
func TestUnknownCommandsFitAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.command("c1", "createUser", "Alice")
	c2 := w.command("c2", "renameUser", "Alison")
	c2.HTTP, c2.Shared, c2.Version, c2.Position = 0, 0, 0, ""
	w.read() // shows the new name
	if got := CheckLinear(w.operations, nil); got.Result != porcupine.Ok {
		t.Error(got.Violations())
	}
	w.lastRead().Version, w.lastRead().ReadName = 1, "Alice" // shows the old name
	if got := CheckLinear(w.operations, nil); got.Result != porcupine.Ok {
		t.Error(got.Violations())
	}
	w.operations = append(w.operations, *w.lastRead()) // shows the new name, and then the old name
	w.operations[2].Version, w.operations[2].ReadName = 2, "Alison"
	w.lastRead().Call, w.lastRead().Return = w.tick(), w.tick()
	got := CheckLinear(w.operations, nil)
	if got.Result != porcupine.Illegal {
		t.Errorf("%s, and a user went back from version 2 to 1", got.Result)
	}
	page := filepath.Join(t.TempDir(), "page.html")
	if err := got.Visualize(page); err != nil {
		t.Error(err)
	}
	if v := got.Violations(); len(v) != 1 || !strings.Contains(v[0].String(), "not linearizable: porcupine says Illegal") {
		t.Errorf("%v", v)
	}
}

// A search among many commands without an answer and without effect would not end,
// so the order of the log is tried first.
func TestOrderOfTheLogIsTried(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.command("c1", "createUser", "Alice")
	early := w.tick()
	for i := range 60 {
		refused := w.command(fmt.Sprint("no", i), "createUser", "Eve")
		refused.HTTP, refused.Slug, refused.Shared = 0, "", 0
	}
	w.read()
	w.command("c2", "renameUser", "Alison").Call = early // a search tries it first
	w.read()
	if got := CheckLinear(w.operations, w.fold().outcomes); got.Result != porcupine.Ok {
		t.Error(got.Violations())
	}
}

// An order may differ from the order of the log: another check looks at the order
// of the log.
func TestOtherOrders(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.command("c1", "createUser", "Alice")
	w.command("no1", "createUser", "Eve")
	w.command("no2", "createUser", "Eve")
	w.operations[1].CommandID, w.operations[2].CommandID = "no2", "no1"
	if got := CheckLinear(w.operations, w.fold().outcomes); got.Result != porcupine.Ok {
		t.Error(got.Violations())
	}
	w.operations[2].Slug = "user-not-found" // fits no order
	if got := CheckLinear(w.operations, w.fold().outcomes); got.Result != porcupine.Illegal {
		t.Errorf("%s, and who is there was not found", got.Result)
	}
}
