package userlist

import (
	"encoding/json"
	"strconv"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/projection"
)

// bytesPerUser is what most take, and a little more.
const bytesPerUser = 160

// userOf is the user in a row, the zero value for none.
func userOf(row projection.Row) (u user) {
	if row == nil {
		return u
	}
	id, _ := row[columnID].(string)
	u.ID = users.ID(id)
	u.Name, _ = row[columnName].(string)
	u.Version, _ = row[columnVersion].(int64)
	u.Active, _ = row[columnActive].(bool)
	u.deleted, _ = row[columnDeleted].(bool)
	u.CreatedAt, _ = row[columnCreatedAt].(string)
	u.UpdatedAt, _ = row[columnUpdatedAt].(string)
	return u
}

// appendList appends users as JSON, as encoding/json would write them: it takes
// several times as long, most of it to find out what a user is made of.
func appendList(out []byte, page []user) []byte {
	out = append(out, '[')
	for i := range page {
		if i > 0 {
			out = append(out, ',')
		}
		out = page[i].appendJSON(out)
	}
	return append(out, ']')
}

func (u *user) appendJSON(out []byte) []byte {
	out = append(out, `{"id":`...)
	if _, isNumber := u.ID.Number(); isNumber {
		out = append(out, u.ID...)
	} else {
		out = appendText(out, string(u.ID))
	}
	out = append(out, `,"name":`...)
	out = appendText(out, u.Name)
	out = append(out, `,"version":`...)
	out = strconv.AppendInt(out, u.Version, 10)
	out = append(out, `,"active":`...)
	out = strconv.AppendBool(out, u.Active)
	out = append(out, `,"createdAt":`...)
	out = appendText(out, u.CreatedAt)
	out = append(out, `,"updatedAt":`...)
	out = appendText(out, u.UpdatedAt)
	if u.Stale {
		out = append(out, `,"stale":true`...)
	}
	return append(out, '}')
}

// appendText appends a JSON string. Those that need no escapes, and in no way
// of encoding/json, are appended as they are.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= 0x7F {
			encoded, err := json.Marshal(text)
			if err != nil {
				panic(err) // any text can be written
			}
			return append(out, encoded...)
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}
