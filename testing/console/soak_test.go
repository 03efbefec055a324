package console

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/router/service/servicetest"
)

// Pages that stay open need no more memory with time, and the service has no
// more goroutines: set CONSOLE_SOAK to a time, such as 5m.
func TestOpenPagesStaySmall(t *testing.T) {
	span, err := time.ParseDuration(os.Getenv("CONSOLE_SOAK"))
	if err != nil {
		t.Skip("keeps pages open under traffic; set CONSOLE_SOAK to a time")
	}
	s := servicetest.Start(t, t.TempDir())
	ctx := t.Context()
	sent := make(chan struct{})
	go func() { // about 1,000 commands a second
		defer close(sent)
		for n := 0; ctx.Err() == nil; n++ {
			var lines strings.Builder
			for i := range 100 {
				fmt.Fprintf(&lines, `{"type":"createUser","payload":{"id":"%d-%d","name":"Name"}}`+"\n", n, i)
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Commands+"/commands", strings.NewReader(lines.String()))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Content-Type", "application/x-ndjson")
			if answer, err := http.DefaultClient.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { <-sent })
	overview, log := open(t, s, "#/overview", wide), open(t, s, "#/log", wide)
	overview.shows("Live")
	log.shows("not shown")
	type size struct{ heap, nodes, goroutines int }
	measure := func(w *tab) size {
		w.do("collect garbage", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, heapprofiler.CollectGarbage, cdp.Empty{})
			return err
		}))
		least := math.MaxInt // requests under way have goroutines too
		for range 20 {
			_, text, _ := strings.Cut(s.Ask(http.MethodGet, s.Admin+"/metrics", "").Body, "\ngo_goroutines ")
			line, _, _ := strings.Cut(text, "\n")
			goroutines, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, goroutines)
		}
		return size{value[int](w, "performance.memory.usedJSHeapSize"), value[int](w, "document.querySelectorAll('*').length"), least}
	}
	time.Sleep(30 * time.Second)
	first := map[*tab]size{overview: measure(overview), log: measure(log)}
	time.Sleep(span)
	for name, w := range map[string]*tab{"overview": overview, "log": log} {
		before, after := first[w], measure(w)
		t.Logf("%s: %+v after half a minute, %+v after %s more", name, before, after, span)
		if after.heap > before.heap+2<<20 || after.nodes > before.nodes+300 || after.goroutines > before.goroutines+30 {
			t.Errorf("%s grows: %+v, then %+v", name, before, after)
		}
	}
}
