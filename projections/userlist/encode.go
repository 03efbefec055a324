package userlist

import (
	"encoding/json"
	"strconv"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/projection"
)

// bytesPerUser is a little more than the size of most users in JSON.
const bytesPerUser = 160

// userOf is the user in a row, the zero value without a row.
func userOf(row projection.Row) (u user) {
	u.ID = users.ID(row.Text(columnID))
	u.Name = row.Text(columnName)
	u.Version = row.Integer(columnVersion)
	u.Active = row.Boolean(columnActive)
	u.deleted = row.Boolean(columnDeleted)
	u.CreatedAt = row.Text(columnCreatedAt)
	u.UpdatedAt = row.Text(columnUpdatedAt)
	u.Email = row.Text(columnEmail)
	return u
}

// appendList appends users as JSON, as encoding/json does. encoding/json takes
// several times as long, mostly because of reflection.
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
	if u.Email != "" {
		out = append(out, `,"email":`...)
		out = appendText(out, u.Email)
	}
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

// appendText appends a JSON string. Only texts with characters that
// encoding/json may escape go through encoding/json.
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
