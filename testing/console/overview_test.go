package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/service/servicetest"
)

// send sends commands at a slow pace, until the test ends. A quarter of the
// commands is refused.
func send(t *testing.T, s *servicetest.Service) {
	t.Helper()
	ctx := t.Context()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			kind := "renameUser"
			if n < 30 {
				kind = "createUser"
			}
			body := fmt.Sprintf(`{"type":%q,"payload":{"id":%d,"name":"Name %d"}}`, kind, n%40, n)
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Commands+"/commands", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Content-Type", "application/json")
			answer, err := http.DefaultClient.Do(request)
			if ctx.Err() != nil {
				return
			}
			if err != nil || answer.StatusCode != http.StatusAccepted {
				t.Errorf("command %d: %v %v", n, answer, err)
				return
			}
			_ = answer.Body.Close()
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

func TestOverview(t *testing.T) {
	t.Parallel()
	s := servicetest.Start(t, t.TempDir())
	send(t, s)
	w := open(t, s, "", wide)
	w.shows("Live")
	w.shows("all are at the end")
	w.wait("the charts are drawn", "document.querySelectorAll('.chart canvas').length === 4")
	w.wait("the rate is there", "Number(document.querySelector('.stat .figure').innerText) > 1")
	w.wait("there are samples", "[...document.querySelectorAll('.legend b')].some((e) => / ms/.test(e.innerText))")
	w.shot("overview-wide")
	w.accessible()
	n := open(t, s, "#/overview", narrow)
	n.dark()
	n.wait("the charts are drawn", "document.querySelectorAll('.chart canvas').length === 4")
	n.shows("Live")
	n.shot("overview-narrow-dark")
	n.accessible()
}
