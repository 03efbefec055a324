package service

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Many deferred commands go on in order. TestManyDeferredCommands has the same
// on a log in memory; here is a broker.
func TestDeferredCommandsAreResumed(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(brokenRule, "broken")
	s.startOneProcess()
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"New"}}`)
	wantProblem(t, s.wait(`{"type":"breakUser","payload":{"id":1,"name":"Broken"},"id":"b"}`), http.StatusInternalServerError, "command-parked")
	behind := size(300, 10_000)
	want := []string{"parkedRequeued", "userRenamed b"}
	for n := 0; n < behind; {
		var lines strings.Builder
		for range 100 {
			fmt.Fprintf(&lines, `{"type":"renameUser","payload":{"id":1,"name":"Name %d"},"id":"h%d"}`+"\n", n, n)
			want = append(want, fmt.Sprint("userRenamed h", n))
			n++
		}
		got, err := send(s.client, http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", "application/x-ndjson", lines.String())
		if err != nil || strings.Count(got.body, `"status":"accepted"`) != 100 {
			t.Fatalf("%s (%v)", got, err)
		}
	}
	s.waitForStatus(statusURL("1", fmt.Sprint("h", behind-1)), "parked")

	s.setenv(brokenRule, "mended")
	s.commandService.kill()
	s.commandService.start()
	out, code := s.app("parked", "requeue", "user/1")
	began := time.Now()
	if code != exitOK || !strings.Contains(out, fmt.Sprint(behind, " more go on behind it")) {
		t.Fatalf("requeue: exit %d\n%s", code, out)
	}
	s.waitForUser(user{ID: "1", Name: fmt.Sprint("Name ", behind-1), Version: uint64(behind + 2), Active: true})
	t.Logf("%d held commands were decided %s after the first", behind, time.Since(began).Round(time.Millisecond))

	var types []string
	for _, r := range s.readLog()["user/1"] {
		types = append(types, strings.TrimSuffix(r.Type+" "+r.CommandID, " "))
	}
	first := slices.IndexFunc(types, func(r string) bool { return strings.HasPrefix(r, "parkedRequeued") })
	if first < 0 {
		t.Fatalf("nothing was requeued: %v", types)
	}
	if types[first] = "parkedRequeued"; !slices.Equal(types[first:], want) {
		t.Errorf("behind the requeue the log has\n%v, want\n%v", types[first:], want)
	}
}
