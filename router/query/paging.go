package query

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/millrace/millrace/router/web"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Limit is the number of entries on a page: the parameter limit, 1 to 1000, or
// 100 by default. If the parameter is wrong, wrong says so.
func Limit(parameters url.Values) (limit int, wrong []web.FieldError) {
	if !parameters.Has("limit") {
		return defaultLimit, nil
	}
	text := parameters.Get("limit")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != text {
		return 0, []web.FieldError{{Parameter: "limit", Detail: fmt.Sprintf("must be an integer from 1 to %d", maxLimit)}}
	}
	return n, nil
}

// LinkNext sets the header Link of the next page (RFC 8288): the same path and
// parameters, with the parameter after set to a cursor. See [EncodeCursor].
func (rd *Reader) LinkNext(w http.ResponseWriter, r *http.Request, parameters url.Values, cursor string) {
	parameters.Set("after", cursor)
	w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, rd.URL(r.URL.EscapedPath()+"?"+parameters.Encode())))
}
