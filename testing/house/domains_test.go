package house

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/handlers/users"
)

// allowed are the places in router/ where a user is a user of Kafka, of PostgreSQL
// or of the operating system, or a part of a URL.
var allowed = regexp.MustCompile(`(?i)sasl|scram|password|Superuser|postgres://|\.User\b|\bUser(info|Agent|Name)?\b +(string|=)|user:password|user, query|operator|UserAgent|pg_|username|users: Kafka|users of Kafka|users of the broker`)

// The router knows no aggregate by name, by message type or by refusal, so the router
// serves any aggregate.
func TestRouterKnowsNoAggregate(t *testing.T) {
	t.Parallel()
	names := []string{users.Aggregate.Name(), users.Aggregate.Plural()}
	for _, create := range users.Aggregate.Commands() {
		names = append(names, create().Type())
	}
	names = append(names, users.Aggregate.EventTypes()...)
	for _, refusal := range users.Aggregate.Refusals() {
		names = append(names, refusal.Slug)
	}
	for i := range names {
		names[i] = regexp.QuoteMeta(names[i])
	}
	named := regexp.MustCompile(`(?i)\b(` + strings.Join(names, "|") + `)\b|[a-z](User|Users)\b|\b(user|users)[A-Z]`)
	seen := map[string]bool{}
	for _, file := range textsOf(t, "router") {
		for n, line := range file.lines {
			if !named.MatchString(line) {
				continue
			}
			if at := slices.IndexFunc(exceptions, func(e exception) bool { return e.file == file.path && strings.Contains(line, e.text) }); at >= 0 {
				seen[exceptions[at].file+exceptions[at].text] = true
				continue
			}
			if allowed.MatchString(line) {
				continue
			}
			t.Errorf("%s:%d names an aggregate of the service: %s", file.path, n+1, strings.TrimSpace(line))
		}
	}
	for _, e := range exceptions {
		if !seen[e.file+e.text] {
			t.Errorf("the exception %s %q is of no use any more", e.file, e.text)
		}
	}
}

// exception is a line in router/ about another kind of user.
type exception struct{ file, text string }

var exceptions = []exception{}
