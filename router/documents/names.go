package documents

import (
	"reflect"
	"strconv"
	"strings"
)

// names are the names of schemas so far.
type names map[string]bool

// claim takes a name for a Go type of an aggregate: base, or a longer name if
// base is taken. The name stays free of the endings, too.
func (n names) claim(title, base string, endings ...string) string {
	for i := 0; ; i++ {
		name := base
		switch {
		case i == 1:
			name = title + base
		case i > 1:
			name = title + base + strconv.Itoa(i)
		}
		free := !n[name]
		for _, ending := range endings {
			free = free && !n[name+ending]
		}
		if !free {
			continue
		}
		n[name] = true
		for _, ending := range endings {
			n[name+ending] = true
		}
		return name
	}
}

// withTitle is the name of a type with the aggregate's title in front.
func withTitle(title, base string) string {
	if strings.HasPrefix(base, title) {
		return base
	}
	return title + base
}

// baseName is the name of a Go type, in the characters of component names.
func baseName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[") // of a generic type
	name = strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return "Type"
	}
	return name
}

// titleOf is the name of an aggregate in names of components: "LineItem" for
// "line-item".
func titleOf(name string) string {
	var title strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		if part != "" {
			title.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return title.String()
}
