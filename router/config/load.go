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

// configVariable is the variable with the path of the file. The caller of Load
// reads the variable.
const configVariable = envPrefix + "CONFIG"

// Service is the names that a configuration may use.
type Service struct {
	ReadModels []string          // for query_service.read_models
	Plurals    map[string]string // by aggregate, for publish
}

// Load starts with [Default], and adds the YAML file at path ("" for none), then
// the environment (entries NAME=value, as from [os.Environ]), then flags (key to
// value). An empty variable counts as unset. In the environment and in flags,
// commas join the items of a list.
//
// Keys may name read models and aggregates of the service.
//
// Each value must be valid where the value is given, even if a later source
// overrides it. The rules between keys apply to the result.
//
// The error is an *[Errors] with all mistakes.
func Load(path string, environ []string, flags map[string]string, service Service) (Config, error) {
	c, _, err := LoadWithSources(path, environ, flags, service)
	return c, err
}

// LoadWithSources is [Load], and returns the source of each key that was set, by
// key: the file with the line, the name of the variable, "flag", or the file of
// a secret.
func LoadWithSources(path string, environ []string, flags map[string]string, service Service) (Config, map[string]string, error) {
	l := loader{service: service, config: Default(), source: map[string]string{}, failed: map[string]bool{}}
	if path != "" {
		l.file(path)
	}
	l.environment(environ)
	l.flags(flags)
	l.secretFiles()
	l.validate()
	if len(l.problems) > 0 {
		return Config{}, nil, &l.problems
	}
	return l.config, l.source, nil
}

// loader gathers values and problems.
type loader struct {
	config   Config
	source   map[string]string // the last source of each key that was set
	failed   map[string]bool   // keys with a problem; rules with these keys are left out
	problems Errors

	service Service
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

// secretFiles reads the file of each secret x whose key x_file is set.
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
		secret, err := ReadSecret(path)
		if err != nil {
			l.fail(file.Name, err.Error())
			continue
		}
		if f.Type == "list" {
			l.set(f, path, strings.Fields(secret)...) // one a line
			continue
		}
		l.set(f, path, secret)
	}
}

// setText sets a key from the text of a variable or a flag.
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

// set parses and sets the items of a list, or the only text of another key.
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

// refuse reports a value that is not allowed.
func (l *loader) refuse(f field, text, source string) {
	l.add(Problem{Key: f.Name, Value: f.shown(text), Source: source, Reason: f.value.allowed})
}

// fail reports a key whose value breaks a rule between keys.
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

// cause is an error without the path, because a Problem has the path already.
func cause(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}
