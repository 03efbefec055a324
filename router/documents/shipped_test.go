package documents_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/testing/parcels"
)

// shipped describes the shipped service.
func shipped(t *testing.T) documents.Description {
	t.Helper()
	return documents.Description{
		Title: "Millrace", Version: "1", Registry: registryOf(t, users.Aggregate), Refusals: decider.Refusals(),
		Admin:     console.OpenAPI(),
		Fragments: [][]byte{contents(t, "../../projections/userlist/openapi.yaml"), contents(t, "../../projections/userstats/openapi.yaml")},
	}
}

// both describes the shipped service with parcels beside users.
func both(t *testing.T) documents.Description {
	t.Helper()
	d := shipped(t)
	d.Registry = registryOf(t, users.Aggregate, parcels.Aggregate)
	return d
}

func registryOf(t *testing.T, types ...*aggregate.Type) *aggregate.Registry {
	t.Helper()
	registry, err := aggregate.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The documents in docs are made of the code as the code is now.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	d := shipped(t)
	for file, now := range map[string][]byte{"../../docs/openapi.json": documents.OpenAPI(d), "../../docs/asyncapi.json": documents.AsyncAPI(d)} {
		if *update {
			if err := os.WriteFile(file, now, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(contents(t, file)), string(now)); diff != "" {
			t.Errorf("%s is of yesterday: go test ./router/documents -update (-file +now):\n%s", file, diff)
		}
	}
}
