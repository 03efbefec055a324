package documents

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// forEach repeats members with a placeholder in the name, once for each
// aggregate.
func forEach(section object, families []family) error {
	for _, name := range slices.Sorted(maps.Keys(section)) {
		if !strings.Contains(name, "{plural}") && !strings.Contains(name, "{Name}") {
			continue
		}
		template := section[name]
		delete(section, name)
		for i := range families {
			f := &families[i]
			words := strings.NewReplacer("{plural}", f.Plural(), "{name}", f.Name(), "{Name}", f.title)
			own := words.Replace(name)
			if _, twice := section[own]; twice {
				return fmt.Errorf("%s is there twice", own)
			}
			section[own] = filledIn(template, words)
		}
	}
	return nil
}

// filledIn is a copy of a part of a document, with the words for placeholders.
func filledIn(v any, words *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return words.Replace(v)
	case object:
		out := make(object, len(v))
		for name, member := range v {
			out[words.Replace(name)] = filledIn(member, words)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = filledIn(item, words)
		}
		return out
	default:
		return v
	}
}
