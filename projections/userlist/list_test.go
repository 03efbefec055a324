package userlist

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) { onEach(t, testList) }

func testList(t *testing.T, a *readAPI) {
	a.fold(nil)
	a.want("/users", 200, `[]`)
	a.foldSome()
	const (
		alice = `{"id":1,"name":"Alice","version":1,"active":true,"createdAt":"2026-01-02T12:00:02.045Z","updatedAt":"2026-01-02T12:00:02.045Z"}`
		carol = `{"id":2,"name":"Carol","version":2,"active":false,"createdAt":"2026-01-02T12:00:01.045Z","updatedAt":"2026-01-02T12:00:04.045Z"}`
		slash = `{"id":"a/b","name":"100% \u003cslash\u003e","version":1,"active":true,"createdAt":"2026-01-02T12:00:06.045Z","updatedAt":"2026-01-02T12:00:06.045Z"}`
		bob   = `{"id":"b","name":"Bob","version":1,"active":true,"createdAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:00.045Z","stale":true}`
	)
	a.want("/users", 200, `[`+alice+`,`+carol+`,`+slash+`,`+bob+`]`)
	a.want("/users?", 200, `[`+alice+`,`+carol+`,`+slash+`,`+bob+`]`)
	a.want("/users?active=true", 200, `[`+alice+`,`+slash+`,`+bob+`]`)
	a.want("/users?active=false", 200, `[`+carol+`]`)
	a.want("/users?active=false&name=Car&limit=1000", 200, `[`+carol+`]`)
	a.want("/users?active=true&name=Car", 200, `[]`)
	a.want("/users?limit=4", 200, `[`+alice+`,`+carol+`,`+slash+`,`+bob+`]`)

	got := a.want("/users?name=Car&active=false&after="+encodeCursor("1"), 200, `[`+carol+`]`)
	if link := got.header.Get("Link"); link != "" {
		t.Errorf("Link %s on the last page", link)
	}
	got = a.want("/users?limit=1&active=true&after="+encodeCursor("1"), 200, `[`+slash+`]`)
	want := `<` + publicURL + `/users?active=true&after=AWEvYg&limit=1>; rel="next"`
	if link := got.header.Get("Link"); link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
}

func TestListByName(t *testing.T) { onEach(t, testListByName) }

func testListByName(t *testing.T, a *readAPI) {
	h := newHistory(t)
	names := []string{
		"Al", "Alice", "al", "Am", "A", "100%", "100% sure", "100 percent", "a_b", "axb", "_", "%",
		"Ärger", "ärger", "A\u0308rger", "日本", "日本語", "日木", "😀 smile", "😁", "\ud7ff!", "\ue000",
		"\U0010FFFF", "\U0010FFFF\U0010FFFFx", "'; DROP TABLE users; --", `back\slash`, "a+b", "a b",
	}
	for i, name := range names {
		h.created(strconv.Itoa(i), name)
	}
	h.created("deleted", "Alien")
	h.add("userDeleted", "deleted", `{"id":"deleted"}`)
	a.fold(h.events)
	for _, prefix := range append(slices.Clone(names),
		"B", "1", "100%_", "%%", "__", "a%b", "Ä", "日", "😀", "\ud7ff", "\U0010FFFF\U0010FFFF", "'", `\`, " ", "Alice ", strings.Repeat("ä", 200)) {
		var want []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		answer := a.ask(http.MethodGet, "/users?name="+url.QueryEscape(prefix))
		var got []string
		for _, u := range decodeUsers(t, answer) {
			got = append(got, u.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("names that begin with %q (-want +got):\n%s", prefix, diff)
		}
	}
}

func decodeUsers(t *testing.T, answer answer) []user {
	t.Helper()
	var list []user
	if err := json.Unmarshal([]byte(answer.body), &list); err != nil || answer.status != 200 {
		t.Fatalf("status %d, %v: %s", answer.status, err, answer.body)
	}
	return list
}

func TestListPages(t *testing.T) { onEach(t, testListPages) }

func testListPages(t *testing.T, a *readAPI) {
	h := newHistory(t)
	var want []string
	numbers := []uint64{0, 9, 10, 99, 100, 1 << 32, 1<<53 - 1}
	for len(numbers) < 120 {
		numbers = append(numbers, uint64(1000+7*len(numbers)))
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		want = append(want, strconv.FormatUint(n, 10))
	}
	texts := []string{"00", "01", "9007199254740992", "-1", "+1", "1.0", "A", "a", "Z", "é", "ß", "日本", "😀", "a/b", "a b", "a%b", "&after=", "\U0010FFFF", "~"}
	for len(texts) < 130 {
		texts = append(texts, fmt.Sprintf("user-%d", len(texts)))
	}
	slices.Sort(texts) // Go compares bytewise
	want = append(want, texts...)
	shuffled := slices.Clone(want)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, id := range shuffled {
		h.created(id, "Same Name")
	}
	for i := range 250 {
		deleted := fmt.Sprintf("user-%d-deleted", i)
		h.created(deleted, "Same Name")
		h.add("userDeleted", deleted, `{"id":"`+deleted+`"}`)
	}
	a.fold(h.events)

	for _, test := range []struct {
		target string
		pages  int
	}{
		{"/users", 3},
		{"/users?limit=250", 1},
		{"/users?limit=249", 2},
		{"/users?limit=125", 2},
		{"/users?limit=7&name=Same+N&active=true", 36},
		{"/users?limit=1000", 1},
		{"/users?limit=1", 250},
	} {
		var got []string
		pages := 0
		for target := test.target; target != "" && pages <= test.pages; pages++ {
			answer := a.ask(http.MethodGet, target)
			for _, u := range decodeUsers(t, answer) {
				got = append(got, string(u.ID))
			}
			target = nextPage(t, answer)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.target, diff)
		}
		if pages != test.pages {
			t.Errorf("%s: %d pages, want %d", test.target, pages, test.pages)
		}
	}
}

// nextPage is the target in the Link header, "" on the last page.
func nextPage(t *testing.T, answer answer) string {
	t.Helper()
	link := answer.header.Get("Link")
	if link == "" {
		return ""
	}
	next, ok := strings.CutPrefix(link, "<"+publicURL)
	if !ok {
		t.Fatalf("Link %s isn't under %s", link, publicURL)
	}
	next, ok = strings.CutSuffix(next, `>; rel="next"`)
	if !ok {
		t.Fatalf("Link %s", link)
	}
	return next
}

func TestBadQueries(t *testing.T) {
	const (
		limit  = `{"parameter":"limit","detail":"must be an integer from 1 to 1000"}`
		after  = `{"parameter":"after","detail":"must be a cursor as the Link header gave it"}`
		name   = `{"parameter":"name","detail":"must be the beginning of a name: 1 to 200 characters, without control characters"}`
		active = `{"parameter":"active","detail":"must be true or false"}`
	)
	a := some(t)
	for target, wrong := range map[string]string{
		"/users?limit=0":                          limit,
		"/users?limit=1001":                       limit,
		"/users?limit=-1":                         limit,
		"/users?limit=%2B5":                       limit,
		"/users?limit=05":                         limit,
		"/users?limit=ten":                        limit,
		"/users?limit=":                           limit,
		"/users?limit=9223372036854775808":        limit,
		"/users?after=":                           after,
		"/users?after=garbage":                    after,
		"/users?after=AQ":                         after,
		"/users?after=ATE%0A":                     after,
		"/users?name=":                            name,
		"/users?name":                             name,
		"/users?name=%00":                         name,
		"/users?name=%ff":                         name,
		"/users?name=" + strings.Repeat("x", 201): name,
		"/users?active=":                          active,
		"/users?active=TRUE":                      active,
		"/users?active=1":                         active,
		"/users?active=x&name=&limit=0&after":     limit + "," + after + "," + name + "," + active,
		"/users?page=2":                           `{"parameter":"page","detail":"is not a parameter of this query"}`,
		"/users?Limit=2":                          `{"parameter":"Limit","detail":"is not a parameter of this query"}`,
		"/users?limit=2&limit=2":                  `{"parameter":"limit","detail":"must be given once"}`,
		"/users?name=%zz":                         `{"parameter":"name","detail":"is malformed"}`,
		"/users?limit=1;active=true":              `{"parameter":"limit","detail":"is malformed"}`,
		"/users/1?fields=name":                    `{"parameter":"fields","detail":"is not a parameter of this query"}`,
	} {
		a.want(target, 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[`+wrong+`]}`)
	}
}
