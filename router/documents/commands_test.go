package documents_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/router/documents"
)

// The schema of each command stands alone, and takes the command's example.
func TestSchemasOfCommandsStandAlone(t *testing.T) {
	t.Parallel()
	d := both(t)
	var types []string
	for _, c := range documents.Commands(d) {
		types = append(types, c.Type)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.Schema))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("urn:alone", doc); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("urn:alone")
		if err != nil {
			t.Errorf("%s: %v", c.Type, err)
			continue
		}
		if valid(t, schema, []byte(`{}`)) == nil {
			t.Errorf("%s takes anything: %s", c.Type, c.Schema)
		}
		if c.Example != nil {
			if err := valid(t, schema, c.Example); err != nil {
				t.Errorf("%s: %s: %v", c.Type, c.Example, err)
			}
		}
		if of := d.Registry.OfCommand(c.Type); of == nil || of.Name() != c.Aggregate {
			t.Errorf("%s is of aggregate %s", c.Type, c.Aggregate)
		}
	}
	if diff := cmp.Diff(d.Registry.CommandTypes(), types); diff != "" {
		t.Errorf("(-commands +described):\n%s", diff)
	}
}
