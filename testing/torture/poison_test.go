package main

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/testing/torture/history"
)

// The checker compares the outcomes that an operator saw with the log, so every
// output must be read as the right outcome.
func TestReadErrand(t *testing.T) {
	t.Parallel()
	const failed = "exit status 1\nmillrace: "
	for _, test := range []struct {
		out  string
		err  error
		want history.Operation
	}{
		{out: "renameUser c1-2 succeeded; user/u1 is at version 12\n3 more go on behind it\n", want: history.Operation{HTTP: http.StatusOK, CommandID: "c1-2", Version: 12}},
		{out: "renameUser c1-2 is refused: an operator has dropped the command\n", want: history.Operation{HTTP: http.StatusConflict, CommandID: "c1-2", Slug: "an operator has dropped the command"}},
		{err: errors.New(failed + "renameUser c1-2 is parked again; see app parked show user/u1\n"), want: history.Operation{HTTP: http.StatusInternalServerError, CommandID: "c1-2", Slug: "command-parked"}},
		{err: errors.New(failed + "stream user/u1 is not parked\n"), want: history.Operation{CommandID: "c1-1"}},
		{err: errors.New(failed + "not-parked: the stream's commands are not parked\n"), want: history.Operation{CommandID: "c1-1"}},
		{err: errors.New(failed + "no outcome within 15s: is a command-service running?\n"), want: history.Operation{CommandID: "c1-1"}},
	} {
		o := history.Operation{CommandID: "c1-1"} // as the list had it
		readErrand(&o, test.out, test.err)
		if test.err != nil {
			test.want.Error = test.err.Error()
		}
		if diff := cmp.Diff(test.want, o); diff != "" {
			t.Errorf("%q, %v (-want +got):\n%s", test.out, test.err, diff)
		}
	}
}

func TestReadList(t *testing.T) {
	t.Parallel()
	for out, want := range map[string][]parked{
		"nothing is parked\n": nil,
		"":                    nil,
		"STREAM   WAITING  COMMAND  TYPE        SINCE                 REASON\n" +
			"user/u1  3        c0-7     renameUser  2026-09-21T09:11:12Z  the decision panicked: poisoned\n" +
			"user/u12 1        c5-40    renameUser  2026-09-21T09:11:12Z  the decision panicked: poisoned\n": {{"u1", "c0-7"}, {"u12", "c5-40"}},
	} {
		if got := readList(out); !slices.Equal(got, want) {
			t.Errorf("%q is read as %v", out, got)
		}
	}
}
