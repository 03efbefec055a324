package openapi

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/testing/parcels"
)

// describe describes a service with these aggregates, without fragments.
func describe(t *testing.T, types ...*aggregate.Type) documents.Description {
	t.Helper()
	registry, err := aggregate.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	return documents.Description{Title: "Bare", Version: "2", Registry: registry}
}

// both describes the shipped service with parcels beside users.
func both(t *testing.T) documents.Description {
	t.Helper()
	d := describe(t, users.Aggregate, parcels.Aggregate)
	d.Refusals = decider.Refusals()
	for _, model := range []string{"userlist", "userstats"} {
		fragment, err := os.ReadFile(filepath.Join(top, "projections", model, "openapi.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		d.Fragments = append(d.Fragments, fragment)
	}
	return d
}

// Each document is OpenAPI: whole and in parts, with one aggregate and two, with
// fragments and without, and with Go types of the same name.
func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile(filepath.Join(top, "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"printed":   printed(t),
		"committed": committed,
		"commands":  documents.OpenAPI(both(t), "/commands", "/openapi.json"),
		"two":       documents.OpenAPI(both(t)),
		"bare":      documents.OpenAPI(describe(t, parcels.Aggregate)),
		"alike":     documents.OpenAPI(describe(t, parcels.Crates, parcels.Drums)),
	} {
		if _, wrong := validatorOf(t, text).ValidateDocument(); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

// An id in a path is an id that the aggregate's commands take.
func TestIDsInPaths(t *testing.T) {
	t.Parallel()
	check := validatorOf(t, documents.OpenAPI(both(t)))
	for _, plural := range []string{"users", "parcels"} {
		for _, id := range []string{"1", "9007199254740992", "01", "-1", "1.5", "nobody", "a%2Fb", "true", "zo%C3%AB", "%E2%80%A8x", "null"} {
			r := httptest.NewRequest(http.MethodGet, "http://localhost:3002/"+plural+"/"+id+"/history", http.NoBody)
			if ok, wrong := check.ValidateHttpRequest(r); !ok {
				t.Errorf("%s %s: %v", plural, id, wrong)
			}
		}
	}
}
