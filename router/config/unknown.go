package config

import "strings"

// unknown says that a key or variable is unknown, and suggests a similar name.
func unknown(what, name string, known []string) string {
	reason := "unknown " + what
	if near := Nearest(name, known); near != "" {
		reason += `, did you mean "` + near + `"?`
	}
	return reason
}

// Nearest is the known name with at most two other letters, or the only known
// name with this ending, or "".
func Nearest(name string, known []string) string {
	best, near := 3, ""
	var endings []string
	for _, k := range known {
		if d := distance(squeeze(name), squeeze(k)); d < best {
			best, near = d, k
		}
		if strings.HasSuffix(k, "."+name) {
			endings = append(endings, k)
		}
	}
	if near == "" && len(endings) == 1 {
		return endings[0]
	}
	return near
}

// squeeze makes publicUrl, public-url and public_url the same.
func squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// distance is the Levenshtein distance in bytes: how many bytes to insert,
// delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
