package telemetry

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"
)

// metricName matches metrics of Millrace, of the Go runtime, and of the process.
var metricName = regexp.MustCompile(`\b(millrace|go|process)_[a-z0-9_]+`)

// served returns the names of all metrics of a process with all roles.
func served(t *testing.T) (names []string) {
	t.Helper()
	m := NewMetrics(Build{}, []string{"createUser"}, everything)
	m.Batches("users")(1, time.Second)
	router := mux.NewRouter()
	router.Handle("/", http.NotFoundHandler())
	m.Requests("queries", router, router, nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	for line := range strings.Lines(scrape(t, m)) {
		if name := metricName.FindString(line); strings.HasPrefix(line, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// The alerts and the dashboard ask only for metrics that a process serves.
func TestDeployAsksForWhatIsServed(t *testing.T) {
	t.Parallel()
	names := served(t)
	asked := map[string][]string{"alerts.yml": expressionsOfAlerts(t), "grafana/dashboards/millrace.json": expressionsOfDashboard(t)}
	for file, expressions := range asked {
		if len(expressions) < 10 {
			t.Errorf("%s has %d expressions", file, len(expressions))
		}
		for _, expression := range expressions {
			found := metricName.FindAllString(expression, -1)
			if len(found) == 0 {
				t.Errorf("%s: no metric in %s", file, expression)
			}
			for _, name := range found {
				if !slices.Contains(names, name) {
					t.Errorf("%s asks for %s, which nobody serves", file, name)
				}
			}
		}
	}
}

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// expressionsOfAlerts returns the texts between expr and the next key.
func expressionsOfAlerts(t *testing.T) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?s)\n +expr: (.*?)\n +(?:for|labels):`).FindAllStringSubmatch(deployed(t, "alerts.yml"), -1) {
		all = append(all, m[1])
	}
	return all
}

func expressionsOfDashboard(t *testing.T) (all []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(deployed(t, "grafana/dashboards/millrace.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Error("a panel asks for nothing")
		}
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

// The dashboard shows timers, reactions and public topics, and no panel lies on
// another.
func TestDashboardIsWhole(t *testing.T) {
	t.Parallel()
	type place struct{ X, Y, W, H int }
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos place
		}
	}
	if err := json.Unmarshal([]byte(deployed(t, "grafana/dashboards/millrace.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for i, p := range dashboard.Panels {
		at := p.GridPos
		if at.X+at.W > 24 || at.W <= 0 || at.H <= 0 {
			t.Errorf("panel %q is at %+v", p.Title, at)
		}
		for _, other := range dashboard.Panels[:i] {
			o := other.GridPos
			if p.ID == other.ID || at.X < o.X+o.W && o.X < at.X+at.W && at.Y < o.Y+o.H && o.Y < at.Y+at.H {
				t.Errorf("panels %d %q and %d %q have one id, or one place", other.ID, other.Title, p.ID, p.Title)
			}
		}
	}
	all := strings.Join(expressionsOfDashboard(t), "\n")
	for _, name := range served(t) {
		for _, shown := range []string{"_scheduled_", "_late_", "_reaction_", "_public_topic_", "_parked_"} {
			if strings.Contains(name, shown) && !strings.Contains(all, name) {
				t.Errorf("the dashboard doesn't show %s", name)
			}
		}
	}
}

// The guide for operators names each alert.
func TestEachAlertIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(deployed(t, "alerts.yml"), -1)
	if len(alerts) != len(expressionsOfAlerts(t)) {
		t.Errorf("%d alerts, and %d expressions", len(alerts), len(expressionsOfAlerts(t)))
	}
	for _, alert := range alerts {
		if !strings.Contains(string(text), "`"+alert[1]+"`") {
			t.Errorf("docs/operating.md says nothing of %s", alert[1])
		}
	}
}
