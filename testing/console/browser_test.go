package console

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/router/service/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m, inTrouble(domain)) }

const (
	// inTarget is set by make test-console, which installs a Chromium.
	inTarget = "CONSOLE_TEST"
	// pictures is the folder of the screenshots.
	pictures = "../../bin/console"
	// patience is how long a page may take to show something.
	patience = 20 * time.Second
)

// Widths of a window: of a screen, and of a telephone.
const (
	wide   = 1280
	narrow = 390
)

//go:embed axe/axe.min.js
var axe string

// browser is the one browser of all tests that run at the same time.
var browser struct {
	sync.Mutex
	users int
	ctx   context.Context
	end   []context.CancelFunc
}

// inBrowser is the context of the browser, which ends after the last test.
func inBrowser(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv(inTarget) == "" {
		t.Skip("make test-console runs the tests in a browser")
	}
	browser.Lock()
	defer browser.Unlock()
	if browser.users == 0 {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true))
		if os.Geteuid() == 0 { // in a container
			options = append(options, chromedp.NoSandbox)
		}
		allocated, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, endBrowser := chromedp.NewContext(allocated)
		if err := chromedp.Do(ctx); err != nil {
			endAllocator()
			t.Fatalf("chromium: %v", err)
		}
		browser.ctx, browser.end = ctx, []context.CancelFunc{endBrowser, endAllocator}
	}
	browser.users++
	t.Cleanup(func() {
		browser.Lock()
		defer browser.Unlock()
		if browser.users--; browser.users == 0 {
			for _, end := range browser.end {
				end()
			}
		}
	})
	return browser.ctx
}

// tab is a window with cookies of its own. A test fails if a page throws, or if
// the browser warns, unless the test expects the warning.
type tab struct {
	t       *testing.T
	ctx     context.Context
	base    string
	expects []string

	mu   sync.Mutex
	said []string
}

// open opens a page of a service, such as "#/log", in a window of a width.
func open(t *testing.T, s *servicetest.Service, at string, width int) *tab {
	t.Helper()
	w := window(t, s, width)
	w.visit(at)
	return w
}

// window is a window without a page.
func window(t *testing.T, s *servicetest.Service, width int) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(inBrowser(t), chromedp.WithNewBrowserContext())
	w := &tab{t: t, ctx: ctx, base: s.Admin}
	t.Cleanup(func() {
		w.mu.Lock()
		said := w.said
		w.mu.Unlock()
		end() // what the browser says of the cut streams of events doesn't count
		for _, text := range said {
			t.Errorf("the browser says: %s", text)
		}
	})
	if err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if err := chromedp.Listen(ctx, w.listen); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(width), Height: 900, DeviceScaleFactor: 1, Mobile: width == narrow,
		})
		return err
	})); err != nil {
		t.Fatalf("a window: %v", err)
	}
	return w
}

// listen notes warnings and errors of the browser.
func (w *tab) listen(event any) {
	var said string
	switch event := event.(type) {
	case *page.EventJavascriptDialogOpening:
		said = "a dialog opens: " + event.Message
	case *runtime.EventExceptionThrown:
		said = event.ExceptionDetails.Text
		if thrown := event.ExceptionDetails.Exception; thrown != nil {
			said += " " + thrown.Description
		}
	case *cdplog.EventEntryAdded:
		if event.Entry.Level != cdplog.EntryLevelError && event.Entry.Level != cdplog.EntryLevelWarning {
			return
		}
		said = event.Entry.Text + " " + event.Entry.URL
	default:
		return
	}
	if w.t.Context().Err() != nil {
		return // the service is being killed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, expected := range w.expects {
		if strings.Contains(said, expected) {
			return
		}
	}
	w.said = append(w.said, said)
}

// expect lets a warning or an error of the browser pass.
func (w *tab) expect(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expects = append(w.expects, text)
}

// do runs actions, for as long as patience lasts.
func (w *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, end := context.WithTimeout(w.ctx, patience)
	defer end()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.fatal(what, err)
	}
}

// fatal ends the test with a picture of the page.
func (w *tab) fatal(what string, err error) {
	w.t.Helper()
	w.shot("failed-" + strings.ReplaceAll(w.t.Name(), "/", "-"))
	w.t.Fatalf("%s: %v", what, err)
}

// visit opens an address of the console.
func (w *tab) visit(at string) {
	w.t.Helper()
	w.do("visit "+at, chromedp.Navigate(w.base+"/"+at))
}

// wait waits until a JavaScript expression is true.
func (w *tab) wait(what, expression string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !value[bool](w, "!!("+expression+")"); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.fatal("wait until "+what, errors.New("the page shows "+value[string](w, "document.body.innerText")))
		}
	}
}

// shows waits until the page has a text.
func (w *tab) shows(text string) {
	w.t.Helper()
	w.wait("the page shows "+text, "document.body.innerText.includes("+quoted(text)+")")
}

// click clicks the first element of a selector that has a text; "" is any text.
func (w *tab) click(selector, text string) {
	w.t.Helper()
	found := fmt.Sprintf("[...document.querySelectorAll(%s)].find((e) => e.checkVisibility() && e.textContent.includes(%s))", quoted(selector), quoted(text))
	w.wait(selector+" with "+text+" is there", "!!"+found)
	w.run(found + ".click()")
}

// fill types a text into a field with a label.
func (w *tab) fill(label, text string) {
	w.t.Helper()
	field := fmt.Sprintf("[...document.querySelectorAll('label')].find((e) => e.textContent.includes(%s))", quoted(label))
	w.wait("field "+label+" is there", "!!"+field)
	w.run(fmt.Sprintf(`(() => {
		const input = %s.control;
		input.focus();
		input.value = %s;
		input.dispatchEvent(new Event('input', {bubbles: true}));
		input.dispatchEvent(new Event('change', {bubbles: true}));
	})()`, field, quoted(text)))
}

// run runs JavaScript in the page.
func (w *tab) run(script string) {
	w.t.Helper()
	w.do("run "+script, chromedp.Evaluate[chromedp.Void](script))
}

// value is the value of a JavaScript expression, or of its promise.
func value[T any](w *tab, expression string) T {
	w.t.Helper()
	ctx, end := context.WithTimeout(w.ctx, patience)
	defer end()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// dark makes the system's theme dark.
func (w *tab) dark() {
	w.t.Helper()
	w.do("dark", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		})
		return err
	}))
}

// pictured is the most of a page in a picture, in pixels.
const pictured = 1400

// shot keeps a picture of the page.
func (w *tab) shot(name string) {
	w.t.Helper()
	w.shotTo(name, pictured)
}

// shotTo keeps a picture of the page's top, down to a height.
func (w *tab) shotTo(name string, height int) {
	w.t.Helper()
	w.settle()
	ctx, end := context.WithTimeout(w.ctx, patience)
	defer end()
	beyond := true
	clip := &page.Viewport{Width: value[float64](w, "innerWidth"), Height: value[float64](w, fmt.Sprintf("Math.min(Math.max(innerHeight, document.documentElement.scrollHeight), %d)", height)), Scale: 1}
	got, err := chromedp.Run(ctx, func(ctx context.Context, _ *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond, Clip: clip})
	})
	if err == nil {
		err = os.MkdirAll(pictures, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(pictures, name+".png"), got.Data, 0o644)
	}
	if err != nil {
		w.t.Errorf("picture %s: %v", name, err)
	}
}

// settle waits until no colour changes any more.
func (w *tab) settle() {
	w.t.Helper()
	for deadline := time.Now().Add(3 * time.Second); value[int](w, "document.getAnimations().length") > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
}

// accessible wants no serious finding of axe-core, and no page that is wider
// than its window.
func (w *tab) accessible() {
	w.t.Helper()
	type finding struct {
		ID, Impact, Help string
		Nodes            []struct{ Target, Summary string }
	}
	w.run(axe + "\n;0")
	for _, f := range value[[]finding](w, `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then((r) => r.violations.map((v) =>
		({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => ({target: n.target.join(' '), summary: n.failureSummary}))})))`) {
		for _, n := range f.Nodes {
			if f.Impact == "serious" || f.Impact == "critical" {
				w.t.Errorf("%s (%s): %s: %s", f.ID, f.Impact, n.Target, n.Summary)
			} else {
				w.t.Logf("%s (%s): %s", f.ID, f.Impact, n.Target)
			}
		}
	}
	if over := value[float64](w, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		w.t.Errorf("the page is %v pixels wider than the window", over)
	}
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text can be written
	}
	return string(out)
}
