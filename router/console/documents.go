package console

import (
	"embed"
	"path"
)

//go:embed openapi/*.yaml
var descriptions embed.FS

// OpenAPI returns the descriptions of the API, one for each view, as fragments
// of the OpenAPI document.
func OpenAPI() (fragments [][]byte) {
	entries, err := descriptions.ReadDir("openapi")
	if err != nil {
		panic(err) // the files are part of this program
	}
	for _, entry := range entries {
		text, err := descriptions.ReadFile(path.Join("openapi", entry.Name()))
		if err != nil {
			panic(err) // likewise
		}
		fragments = append(fragments, text)
	}
	return fragments
}
