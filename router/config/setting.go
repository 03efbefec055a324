package config

// Setting is a key with the value in force.
type Setting struct {
	Key
	Value  string // as text; secrets are masked
	Source string // as from [LoadWithSources], or "default"
}

// Settings are all keys in the order of config/all.yaml. The sources are from
// [LoadWithSources].
func (c Config) Settings(sources map[string]string) []Setting {
	all := make([]Setting, len(fields))
	for i, f := range fields {
		source, given := sources[f.Name]
		if !given {
			source = "default"
		}
		all[i] = Setting{f.Key, text(f.of(&c)), source}
	}
	return all
}
