package scaffold

import (
	"embed"
	"fmt"
	"go/format"
	"strings"
	"text/template"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").ParseFS(templateFiles, "templates/*.tmpl", "templates/handler/*.tmpl", "templates/projection/*.tmpl", "templates/reaction/*.tmpl"))

// render is a template with the data. Go is formatted.
func render(name string, data any) (string, error) {
	var text strings.Builder
	if err := templates.ExecuteTemplate(&text, name+".tmpl", data); err != nil {
		return "", err
	}
	if !strings.HasSuffix(name, ".go") {
		return text.String(), nil
	}
	formatted, err := format.Source([]byte(text.String()))
	if err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	return string(formatted), nil
}

// renderAll adds a new file for each template, by path.
func (c *changes) renderAll(data any, byPath map[string]string) error {
	for path, name := range byPath {
		text, err := render(name, data)
		if err != nil {
			return err
		}
		c.create[path] = text
	}
	return nil
}
