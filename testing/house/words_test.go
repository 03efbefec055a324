package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxPronouns is the largest number of pronouns in 100 words of doc comments. Good Go
// projects have 2 to 4.
const maxPronouns = 4.5

var pronouns = []string{"it", "that", "those", "what", "who", "one", "which", "them", "they"}

// private are words of this project for things with a standard name.
var private = []string{"ledger", "desk", "restack", "wish", "slot", "absentee", "absentees", "complaints", "journey"}

var word = regexp.MustCompile(`[A-Za-z']+`)

func TestPronouns(t *testing.T) {
	t.Parallel()
	words, counted := 0, 0
	byFolder := map[string][2]int{}
	for _, s := range sources(t) {
		for _, doc := range docs(s.file) {
			w, p := count(doc)
			words, counted = words+w, counted+p
			of := byFolder[s.folder]
			byFolder[s.folder] = [2]int{of[0] + w, of[1] + p}
		}
	}
	rate := 100 * float64(counted) / float64(words)
	t.Logf("%.2f pronouns in 100 of %d words of doc comments", rate, words)
	if rate > maxPronouns {
		var worst []string
		for folder := range byFolder {
			worst = append(worst, folder)
		}
		slices.SortFunc(worst, func(a, b string) int { return byFolder[b][1] - byFolder[a][1] })
		for _, folder := range worst[:min(12, len(worst))] {
			of := byFolder[folder]
			t.Logf("%-32s %5d words, %4d pronouns: %.1f", folder, of[0], of[1], 100*float64(of[1])/float64(of[0]))
		}
		t.Errorf("doc comments have %.2f pronouns in 100 words, and may have %.1f: say the noun", rate, maxPronouns)
	}
}

// count counts the words of a comment, and the pronouns among them.
func count(text string) (words, counted int) {
	for _, w := range word.FindAllString(text, -1) {
		words++
		if slices.Contains(pronouns, strings.ToLower(w)) {
			counted++
		}
	}
	return words, counted
}

// docs are the doc comments of a file: of the package, its declarations, fields
// and methods.
func docs(file *ast.File) []string {
	var all []string
	add := func(groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if g != nil {
				all = append(all, g.Text())
			}
		}
	}
	add(file.Doc)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			add(n.Doc)
		case *ast.GenDecl:
			add(n.Doc)
		case *ast.TypeSpec:
			add(n.Doc, n.Comment)
		case *ast.ValueSpec:
			add(n.Doc, n.Comment)
		case *ast.Field:
			add(n.Doc, n.Comment)
		}
		return true
	})
	return all
}

// A standard term has no second word in identifiers and comments.
func TestStandardTerms(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.folder == "testing/house" {
			continue
		}
		for _, group := range s.file.Comments {
			for _, w := range word.FindAllString(strings.ToLower(group.Text()), -1) {
				if slices.Contains(private, strings.TrimSuffix(w, "'s")) {
					t.Errorf("%s: a comment says %q", s.set.Position(group.Pos()), w)
				}
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				for _, w := range parts(id.Name) {
					if slices.Contains(private, w) {
						t.Errorf("%s: identifier %s", s.set.Position(id.Pos()), id.Name)
					}
				}
			}
			return true
		})
	}
}

var part = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// parts are the words of an identifier, in lower case.
func parts(name string) []string {
	all := part.FindAllString(name, -1)
	for i := range all {
		all[i] = strings.ToLower(all[i])
	}
	return all
}
