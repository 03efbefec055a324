package userlist

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
)

func FuzzUserJSON(f *testing.F) {
	f.Add("1", "Alice", "", int64(1), true, false)
	f.Add("007", `"quoted\"`, `"a&b"@c`, int64(1<<53), false, true)
	f.Add("<a>", "Ünal & \u2028 \x7f\t", "alice@example.org", int64(0), true, true)
	f.Add("\xff", "\xed\xa0\x80", "\xff", int64(-1), true, false)
	f.Fuzz(func(t *testing.T, id, name, email string, version int64, active, stale bool) {
		page := []user{
			{ID: users.ID(id), Name: name, Email: email, Version: version, Active: active, CreatedAt: "c", UpdatedAt: "u", Stale: stale},
			{ID: "2"},
		}
		for n := range len(page) + 1 {
			want, err := json.Marshal(page[:n])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(appendList(nil, page[:n]))); diff != "" {
				t.Errorf("(-encoding/json +ours):\n%s", diff)
			}
		}
	})
}
