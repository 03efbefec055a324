package documents

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

var update = flag.Bool("update", false, "write the documents in ../docs")

// The documents in docs are what the code says now.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for file, now := range map[string][]byte{"../docs/openapi.json": OpenAPI(), "../docs/asyncapi.json": AsyncAPI()} {
		if *update {
			if err := os.WriteFile(file, now, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(was), string(now)); diff != "" {
			t.Errorf("%s is of yesterday: go test ./documents -update (-file +now):\n%s", file, diff)
		}
	}
}

// The document is OpenAPI, whole and in parts.
func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	for name, text := range map[string][]byte{"whole": OpenAPI(), "commands": OpenAPI("/commands", "/openapi.json")} {
		doc, err := libopenapi.NewDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		check, errs := validator.NewValidator(doc)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if _, wrong := check.ValidateDocument(); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}
