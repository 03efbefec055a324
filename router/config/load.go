package config

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
)

// configVariable names the file, and is read by whoever calls Load.
const configVariable = envPrefix + "CONFIG"

// Load is the defaults, changed by the YAML file at path (none when empty),
// then by the environment (NAME=value each, as os.Environ has it), then by
// flags (key to value). A variable that is set but empty counts as unset. In
// the environment and in flags, the items of a list are joined by commas.
//
// ReadModels are the names of the service's read models, which
// query_service.read_models may name.
//
// Each value has to be valid where it is given, even if another overrides it;
// the rules between keys look at the result.
//
// The error is an *Errors with everything that is wrong.
func Load(path string, environ []string, flags map[string]string, readModels ...string) (Config, error) {
	l := loader{readModels: readModels, config: Default(), source: map[string]string{}, failed: map[string]bool{}}
	if path != "" {
		l.file(path)
	}
	l.environment(environ)
	l.flags(flags)
	l.secretFiles()
	l.validate()
	if len(l.problems) > 0 {
		return Config{}, &l.problems
	}
	return l.config, nil
}

// loader gathers values and what is wrong with them.
type loader struct {
	config   Config
	source   map[string]string // of each key that was set: by whom, last
	failed   map[string]bool   // keys with a problem: rules that need them are left out
	problems Errors

	readModels []string // of the service
}

func (l *loader) file(path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		l.add(Problem{Source: path, Reason: "cannot be read: " + cause(err)})
		return
	}
	l.yaml(path, bytes.TrimPrefix(content, []byte("\ufeff")))
}

func (l *loader) environment(environ []string) {
	byName := map[string]string{} // the last one counts, as in os/exec
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && name != configVariable {
			byName[name] = text
		}
	}
	_, variables := names()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if byName[name] == "" {
			continue
		}
		i := slices.Index(variables, name)
		if i < 0 {
			l.add(Problem{Key: name, Source: "environment", Reason: unknown("environment variable", name, variables)})
			continue
		}
		l.setText(fields[i], name, byName[name])
	}
}

func (l *loader) flags(flags map[string]string) {
	keys, _ := names()
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		f, ok := fieldNamed(name)
		if !ok {
			l.add(Problem{Key: name, Source: "flag", Reason: unknown("key", name, keys)})
			continue
		}
		l.setText(f, "flag", flags[name])
	}
}

// secretFiles reads each secret x that is given as x_file.
func (l *loader) secretFiles() {
	for _, f := range fields {
		file, ok := fieldNamed(f.Name + "_file")
		if !f.Secret || !ok {
			continue
		}
		path := file.of(&l.config).String()
		if path == "" {
			continue
		}
		if l.given(f.Name) {
			l.fail(f.Name, "give this or "+file.Name+" ("+l.sourceOf(file.Name)+"), not both")
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			l.fail(file.Name, "cannot be read: "+cause(err))
			continue
		}
		secret := strings.TrimRight(string(content), "\r\n")
		if secret == "" {
			l.fail(file.Name, "is an empty file")
			continue
		}
		if f.Type == "list" {
			l.set(f, path, strings.Fields(secret)...) // one a line
			continue
		}
		l.set(f, path, secret)
	}
}

// setText sets a key from the one text that the environment and flags have.
func (l *loader) setText(f field, source, text string) {
	if f.Type != "list" {
		l.set(f, source, text)
		return
	}
	var items []string
	if text != "" {
		items = strings.Split(text, ",")
	}
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	l.set(f, source, items...)
}

// set parses the items of a list, or the one text of anything else.
func (l *loader) set(f field, source string, items ...string) {
	l.source[f.Name] = source
	target := f.of(&l.config)
	if f.Type != "list" {
		if v, ok := f.value.parse(items[0]); ok {
			target.Set(reflect.ValueOf(v).Convert(target.Type()))
		} else {
			l.refuse(f, items[0], source)
		}
		return
	}
	list := reflect.MakeSlice(target.Type(), 0, len(items))
	for i, item := range items {
		v, ok := f.value.parse(item)
		if !ok || slices.Contains(items[:i], item) {
			l.refuse(f, item, source)
			continue
		}
		list = reflect.Append(list, reflect.ValueOf(v).Convert(target.Type().Elem()))
	}
	if len(items) == 0 && !f.value.empty {
		l.refuse(f, "", source)
	}
	target.Set(list)
}

// refuse reports a value that the key may not hold.
func (l *loader) refuse(f field, text, source string) {
	l.add(Problem{Key: f.Name, Value: f.shown(text), Source: source, Reason: f.value.allowed})
}

// fail reports a key whose value is fine by itself.
func (l *loader) fail(key, reason string) {
	f, _ := fieldNamed(key)
	value := f.shown(text(f.of(&l.config)))
	l.add(Problem{Key: key, Value: value, Source: l.sourceOf(key), Reason: reason})
}

func (l *loader) add(p Problem) {
	l.failed[p.Key] = true
	l.problems = append(l.problems, p)
}

func (l *loader) sourceOf(key string) string {
	if source, ok := l.source[key]; ok {
		return source
	}
	return "default"
}

// cause is err without the path, which the reader sees already.
func cause(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}
