package scaffold

import "strings"

// irregularPlurals are the plurals that no rule of [pluralOf] makes.
var irregularPlurals = map[string]string{"child": "children", "man": "men", "person": "people", "woman": "women"}

// pluralOf is a guess at the plural of an English noun, in lower case.
func pluralOf(noun string) string {
	switch irregular := irregularPlurals[noun]; {
	case irregular != "":
		return irregular
	case endsIn(noun, "s", "x", "z", "ch", "sh"):
		return noun + "es"
	case strings.HasSuffix(noun, "y") && !endsInVowel(noun[:len(noun)-1]):
		return noun[:len(noun)-1] + "ies"
	default:
		return noun + "s"
	}
}

// irregularVerbs are the past participles that no rule of [pastOf] makes.
var irregularVerbs = map[string]string{
	"begin": "begun", "bring": "brought", "build": "built", "buy": "bought", "cancel": "cancelled", "choose": "chosen",
	"control": "controlled", "cut": "cut", "do": "done", "draw": "drawn", "find": "found", "forget": "forgotten", "get": "got",
	"give": "given", "go": "gone", "hide": "hidden", "hold": "held", "keep": "kept", "label": "labelled", "leave": "left",
	"lend": "lent", "make": "made", "meet": "met", "pay": "paid", "put": "put", "rebuild": "rebuilt", "reset": "reset",
	"resend": "resent", "rewrite": "rewritten", "run": "run", "sell": "sold", "send": "sent", "set": "set", "show": "shown",
	"speak": "spoken", "spend": "spent", "split": "split", "take": "taken", "tell": "told", "undo": "undone", "win": "won",
	"withdraw": "withdrawn", "withhold": "withheld", "write": "written",
	// The last letter is doubled.
	"admit": "admitted", "commit": "committed", "permit": "permitted", "prefer": "preferred", "refer": "referred",
	"submit": "submitted", "transfer": "transferred",
}

// pastOf is a guess at the past participle of an English verb, in lower case.
func pastOf(verb string) string {
	last := len(verb) - 1
	switch irregular := irregularVerbs[verb]; {
	case irregular != "":
		return irregular
	case verb[last] == 'e':
		return verb + "d"
	case verb[last] == 'y' && !endsInVowel(verb[:last]):
		return verb[:last] + "ied"
	case isShort(verb):
		return verb + verb[last:] + "ed"
	default:
		return verb + "ed"
	}
}

// isShort says whether a verb has a single vowel, and one consonant behind it, as
// ship and stop have: the consonant is doubled.
func isShort(verb string) bool {
	vowels := 0
	for _, letter := range verb {
		if strings.ContainsRune("aeiouy", letter) {
			vowels++
		}
	}
	last := len(verb) - 1
	return vowels == 1 && last > 0 && endsInVowel(verb[:last]) && !endsIn(verb, "w", "x", "y")
}

// withArticle is a noun with "a" or "an".
func withArticle(noun string) string {
	if endsIn(noun[:1], "a", "e", "i", "o", "u") && !strings.HasPrefix(noun, "use") && !strings.HasPrefix(noun, "uni") {
		return "an " + noun
	}
	return "a " + noun
}

func endsInVowel(text string) bool { return endsIn(text, "a", "e", "i", "o", "u") }

func endsIn(text string, endings ...string) bool {
	for _, ending := range endings {
		if strings.HasSuffix(text, ending) {
			return true
		}
	}
	return false
}
