package users

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestEmail(t *testing.T) {
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b", 189)
	text, ok := Email("").Schema()["pattern"].(string)
	if !ok {
		t.Fatal("the schema has no pattern")
	}
	pattern := regexp.MustCompile(text)
	for text, allowed := range map[string]bool{
		"": true, "alice@example.org": true, "A.B+c@Example.org": true, "a@b": true, "<\"&'\\>@b": true, long: true,
		long + "b": false, "alice": false, "@": false, "a@": false, "@b": false, "a@b@c": false, " a@b": false, "a@b ": false, "a b@c": false,
		"a@b\n": false, "a\x00@b": false, "zoë@b": false, "a\x7f@b": false, "a@b\xff": false,
	} {
		email, err := ParseEmail(text)
		if (err == nil) != allowed || err != nil && !errors.Is(err, ErrEmail) || err == nil && string(email) != text {
			t.Errorf("%q is %q, %v", text, email, err)
		}
		if schema := pattern.MatchString(text) && len(text) <= maxEmailLength; schema != allowed {
			t.Errorf("%q: the schema says %v", text, schema)
		}
		body, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var read Email
		if err := json.Unmarshal(body, &read); (err == nil) != allowed || err == nil && read != email {
			t.Errorf("%s is read as %q, %v", body, read, err)
		}
	}
	for _, body := range []string{"null", "1", "true", "{}", `["a@b"]`} {
		var read Email
		if err := json.Unmarshal([]byte(body), &read); !errors.Is(err, ErrEmail) {
			t.Errorf("%s is read as %q, %v", body, read, err)
		}
	}
}
