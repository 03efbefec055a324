package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProof(t *testing.T) {
	t.Parallel()
	output := func(verdict, elsewhere string) (out string) {
		for _, model := range shipped.models {
			out += model + ": " + verdict + ", in 4ms\n  log       9 records: 9 accepted, 0 ignored\n" + elsewhere
		}
		return out
	}
	failed := errors.New("exit status 1")
	for name, test := range map[string]struct {
		out       string
		failed    error
		elsewhere int
		ok        bool
	}{
		"proven":                       {output("proven", ""), nil, 0, true},
		"fewer read models":            {"users: proven, in 4ms\n", nil, 0, false},
		"differs":                      {output("DIFFERS from the log", ""), failed, 0, false},
		"differs, and elsewhere":       {output("DIFFERS from the log", "  elsewhere 2 records in\n"), failed, 2, false},
		"elsewhere":                    {output("NOT PROVEN", "  elsewhere 2 records in\n"), failed, 2, true},
		"another number of elsewhere":  {output("NOT PROVEN", "  elsewhere 3 records in\n"), failed, 2, false},
		"proven in spite of elsewhere": {output("proven", ""), nil, 1, false},
		"failed":                       {"no broker", failed, 0, false},
	} {
		if err := shipped.proof(test.out, test.failed, test.elsewhere); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	list := "STREAM WAITING COMMAND TYPE SINCE REASON\nuser/u1  1  c1  renameUser  2026-01-01T00:00:00Z  broken\norder/hostile-2  1  h2  foo  2026-01-01T00:00:00Z  unknown-type\n"
	if diff := cmp.Diff([]parked{{"order/hostile-2", "h2"}}, strangers(list), cmp.AllowUnexported(parked{})); diff != "" {
		t.Error(diff)
	}
	if got := readList(list); len(got) != 1 || got[0].user != "u1" {
		t.Errorf("the operator of the traffic sees %v", got)
	}
}
