package house

import (
	"slices"
	"strings"
	"testing"
)

// arrows are the imports that each package may have. The packages stand from the top
// floor to the ground: an arrow goes down only, so there is no circle.
var arrows = []struct {
	of string
	to []string
}{
	{"app", []string{"handlers/users", "projections/userlist", "projections/userstats", "router/aggregate", "router/query", "router/service"}},
	{"router/service/servicetest", []string{"router/service"}},
	{"router/service", []string{
		"router/aggregate", "router/config", "router/console", "router/decider", "router/decider/commandguard", "router/documents", "router/eventlog", "router/gateway", "router/kafka", "router/kafka/connection", "router/kafka/embedded",
		"router/operations", "router/projection", "router/publish", "router/query", "router/query/commandstatus", "router/query/history", "router/readmodel", "router/scaffold", "router/sqlstore",
		"router/statestore", "router/telemetry", "router/web", "router/web/guard",
		"router/reaction", "router/reaction/checkpoint", "router/reaction/runner", "router/unique",
	}},
	{"router/console", []string{
		"router/aggregate", "router/config", "router/decider", "router/documents", "router/eventlog", "router/kafka", "router/operations", "router/projection", "router/readmodel",
		"router/strict", "router/telemetry", "router/web", "router/web/guard",
	}},
	{"router/operations", []string{"router/aggregate", "router/decider", "router/eventlog", "router/kafka", "router/projection", "router/reaction/checkpoint", "router/readmodel", "router/sqlstore"}},
	{"projections/userlist", []string{"handlers/users", "router/projection", "router/query", "router/web"}},
	{"projections/userstats", []string{"handlers/users", "router/aggregate", "router/projection", "router/query", "router/web"}},
	{"router/projection/projectiontest", []string{"router/aggregate", "router/eventlog", "router/kafka", "router/projection", "router/query", "router/readmodel", "router/sqlstore", "router/web"}},
	{"router/query/commandstatus", []string{"router/aggregate", "router/eventlog", "router/projection", "router/query", "router/readmodel", "router/web"}},
	{"router/query/history", []string{"router/aggregate", "router/eventlog", "router/projection", "router/query", "router/readmodel", "router/web"}},
	{"router/query", []string{"router/aggregate", "router/eventlog", "router/projection", "router/readmodel", "router/web"}},
	{"router/sqlstore", []string{"router/eventlog", "router/projection", "router/readmodel"}},
	{"router/readmodel", []string{"router/aggregate", "router/eventlog", "router/kafka", "router/logging", "router/projection", "router/readmodel/sortedrows"}},
	{"router/readmodel/sortedrows", []string{"router/projection"}},
	{"router/gateway", []string{"router/aggregate", "router/decider", "router/decider/observe", "router/eventlog", "router/logging", "router/strict", "router/web"}},
	{"router/decider/commandguard", []string{"router/eventlog", "router/kafka"}},
	{"router/reaction/runner", []string{
		"router/aggregate", "router/decider", "router/eventlog", "router/kafka", "router/reaction", "router/reaction/checkpoint", "router/strict", "router/unique",
	}},
	{"router/decider", []string{"router/aggregate", "router/decider/fence", "router/decider/keys", "router/decider/observe", "router/decider/varint", "router/eventlog", "router/kafka", "router/logging", "router/strict", "router/unique"}},
	{"router/unique", []string{"router/aggregate", "router/eventlog"}},
	{"router/publish", []string{"router/aggregate", "router/eventlog", "router/kafka", "router/logging"}},
	{"router/strict", []string{"router/aggregate", "router/eventlog"}},
	{"router/kafka", []string{"router/eventlog", "router/kafka/connection", "router/logging"}},
	{"router/kafka/connection", nil},
	{"router/kafka/embedded", nil},
	{"router/scaffold", []string{"router/aggregate", "router/eventlog", "router/reaction"}},
	{"router/documents", []string{"router/aggregate", "router/web"}},
	{"router/telemetry", []string{"router/eventlog", "router/logging"}},
	{"router/reaction/checkpoint", []string{"router/aggregate", "router/eventlog"}},
	{"router/reaction/reactiontest", []string{"router/aggregate", "router/reaction"}},
	{"router/reaction", []string{"router/aggregate", "router/logging"}},
	{"router/projection/projectiontest/orders", []string{"router/aggregate"}},
	{"router/projection", []string{"router/aggregate", "router/eventlog"}},
	{"router/web/guard", []string{"router/logging", "router/web"}},
	{"router/web", []string{"router/aggregate", "router/logging"}},
	{"router/decider/observe", []string{"router/eventlog"}},
	{"router/decider/keys", nil},
	{"router/decider/fence", []string{"router/decider/varint", "router/eventlog"}},
	{"router/decider/varint", nil},
	{"router/eventlog", nil},
	{"router/logging", nil},
	{"router/statestore", nil},
	{"router/config", nil},
	{"handlers/users", []string{"router/aggregate"}},
	{"router/aggregate/aggregatetest", []string{"router/aggregate"}},
	{"router/aggregate", nil},
}

// standardLibrary are the packages without imports from other modules.
var standardLibrary = []string{"handlers/users", "router/aggregate", "router/aggregate/aggregatetest", "router/logging", "router/reaction", "router/reaction/reactiontest", "router/scaffold"}

// domains are the folders of the domains. Only some files may import a domain.
var domains = []string{"handlers/", "projections/"}

func TestArrows(t *testing.T) {
	t.Parallel()
	place := map[string]int{}
	for i, a := range arrows {
		place[a.of] = i
	}
	for i, a := range arrows {
		for _, to := range a.to {
			at, known := place[to]
			if !known || at <= i {
				t.Errorf("the arrow from %s to %s does not go down", a.of, to)
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasPrefix(s.folder, "examples/") || strings.HasPrefix(s.folder, "testing/") {
			continue // they may import all
		}
		if s.test {
			continue
		}
		at, known := place[s.folder]
		if !known {
			t.Errorf("%s is in a package that the list of arrows doesn't have", s.path)
			continue
		}
		seen[s.folder] = true
		for _, imported := range s.imports() {
			if why := forbidden(s, arrows[at].to, imported); why != "" {
				t.Errorf("%s imports %s: %s", s.path, imported, why)
			}
		}
	}
	for _, a := range arrows {
		if !seen[a.of] {
			t.Errorf("there is no Go in %s", a.of)
		}
	}
}

// forbidden says why a file may not import a package, "" if it may.
func forbidden(s source, allowed []string, imported string) string {
	if imported == "C" || imported == "unsafe" {
		return "nothing here needs it"
	}
	ours, inModule := strings.CutPrefix(imported, module+"/")
	if !inModule {
		host, _, _ := strings.Cut(imported, "/")
		if strings.Contains(host, ".") && slices.Contains(standardLibrary, s.folder) {
			return "the package stands on the standard library"
		}
		if s.folder == "router/eventlog" && (strings.Contains(imported, "sarama") || strings.Contains(imported, "franz-go") || strings.Contains(imported, "watermill")) {
			return "the log's vocabulary knows no client of Kafka"
		}
		return ""
	}
	if strings.HasPrefix(ours, "testing/") || strings.HasPrefix(ours, "examples/") {
		return "nothing that is shipped imports it"
	}
	if !slices.Contains(allowed, ours) {
		return "the list of arrows has no such arrow"
	}
	isDomain := slices.ContainsFunc(domains, func(prefix string) bool { return strings.HasPrefix(ours, prefix) })
	if isDomain && s.folder == "app" && s.path != "app/domain.go" {
		return "app/domain.go is the one file that lists the service's parts"
	}
	return ""
}

// The router can be imported by another module: nothing of the service comes
// along.
func TestRouterImportsNoDomain(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.folder, "router") || s.test {
			continue
		}
		for _, imported := range s.imports() {
			ours, inModule := strings.CutPrefix(imported, module+"/")
			if inModule && !strings.HasPrefix(ours, "router/") {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}
