package console

import (
	"testing"

	"github.com/millrace/millrace/router/service/servicetest"
)

func TestLog(t *testing.T) {
	t.Parallel()
	s := servicetest.Start(t, t.TempDir())
	s.Post(`{"type":"createUser","payload":{"id":"before","name":"Before"}}`, "Prefer", "wait=10").Want(200, "succeeded")
	w := open(t, s, "#/log", wide)
	w.shows("Before")
	w.shows("Live")
	s.Post(`{"type":"createUser","payload":{"id":"alice","name":"Alice"}}`, "Prefer", "wait=10").Want(200, "succeeded")
	w.shows("user/alice")
	s.Post(`{"type":"renameUser","payload":{"id":"bob","name":"Bob"}}`, "Prefer", "wait=10").Want(404, "user-not-found")
	w.shows("commandRefused")
	w.click("summary", "user/alice")
	w.shows("ce_commandhash")
	w.shot("log-wide")
	w.accessible()
	w.click("button", "Pause")
	s.Post(`{"type":"createUser","payload":{"id":"carol","name":"Carol"}}`, "Prefer", "wait=10").Want(200, "succeeded")
	w.shows("1 record not shown")
	w.click("button", "Go on")
	w.fill("Type is", "commandRefused")
	w.click("button", "Filter")
	w.wait("one record is left", "document.querySelectorAll('.records li').length === 1")
	s.Post(`{"type":"createUser","payload":{"id":"dave","name":"Dave"}}`, "Prefer", "wait=10").Want(200, "succeeded")
	w.shows("not picked by the filter")
	n := open(t, s, "#/log?stream=user/", narrow)
	n.dark()
	n.shows("user/carol")
	n.click("summary", "user/alice")
	n.shows("ce_commandhash")
	n.shot("log-narrow-dark")
	n.accessible()
}
