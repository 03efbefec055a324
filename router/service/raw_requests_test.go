package service

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// rawRequest is the bytes of a client, and the expected answers: for each answer
// the status, and the slug of a problem. net/http answers bytes that are no
// request: "400 text". The connection is closed or stays open afterwards.
type rawRequest struct {
	name, bytes string
	want        string
	closed      bool
}

// rawHead is a request's head.
func rawHead(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// rawPost is a request with a command, with these additional lines in the head.
func rawPost(body string, lines ...string) string {
	return rawHead(append([]string{"POST /commands HTTP/1.1", "Host: x", "Content-Type: application/json"}, lines...)...) + body
}

const (
	rawGood = `{"type":"createUser","payload":{"id":"good","name":"A"}}`
	// rawHidden is a request that the server must never see.
	rawHidden = "POST /commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 58\r\n\r\n" +
		`{"type":"createUser","payload":{"id":"hidden","name":"A"}}`
)

func rawChunks(parts ...string) string {
	var body strings.Builder
	for _, part := range append(parts, "") {
		fmt.Fprintf(&body, "%x\r\n%s\r\n", len(part), part)
	}
	return body.String()
}

func rawCommandRequests() []rawRequest {
	length := "Content-Length: " + strconv.Itoa(len(rawGood))
	const chunked = "Transfer-Encoding: chunked"
	chunks := rawChunks(rawGood)
	long := strings.Repeat(" ", 64<<10-len(rawGood)) + rawGood // just not too long
	lengthOf := func(body string) string { return "Content-Length: " + strconv.Itoa(len(body)) }
	return []rawRequest{
		// Whose end could be seen in two places.
		{"length and chunks", rawPost(chunks, length, chunked), "202", true},
		{"length and chunks, a request behind", rawPost(rawChunks(rawGood)+rawHidden, "Content-Length: 4", chunked), "202", true},
		{"length beyond the chunks", rawPost(chunks+rawHidden, "Content-Length: "+strconv.Itoa(len(chunks+rawHidden)), chunked), "202", true},
		{"HTTP/1.0 with chunks", strings.Replace(rawPost(rawChunks(rawHidden), chunked, "Connection: keep-alive"), "1.1", "1.0", 1), "400 invalid-request", true},
		{"HTTP/1.0 with chunks and length 0", strings.Replace(rawPost(rawHidden, chunked, "Content-Length: 0", "Connection: keep-alive"), "1.1", "1.0", 1), "400 invalid-request", true},
		{"two lengths", rawPost(rawGood+rawHidden, length, "Content-Length: 3"), "400 text", true},
		{"a length twice", rawPost(rawGood, length, length), "202", false},
		{"a list of lengths", rawPost(rawGood, length+", "+strconv.Itoa(len(rawGood))), "400 text", true},
		{"length with a sign", rawPost(rawGood, "Content-Length: +56"), "400 text", true},
		{"negative length", rawPost(rawGood, "Content-Length: -1"), "400 text", true},
		{"hexadecimal length", rawPost(rawGood, "Content-Length: 0x38"), "400 text", true},
		{"empty length", rawPost(rawGood, "Content-Length:"), "400 text", true},
		{"length over 2^63", rawPost(rawGood, "Content-Length: 99999999999999999999"), "400 text", true},
		{"length with a space before the colon", rawPost(rawGood, "Content-Length : 56"), "400 text", true},
		{"another transfer coding", rawPost(chunks, "Transfer-Encoding: gzip, chunked"), "501 text", true},
		{"chunked twice", rawPost(chunks, chunked, chunked), "501 text", true},
		{"chunked, badly written", rawPost(chunks, "Transfer-Encoding: xchunked"), "501 text", true},
		{"identity", rawPost(rawGood, length, "Transfer-Encoding: identity"), "501 text", true},
		{"chunked behind a control character", rawPost(chunks, "Transfer-Encoding: \x0bchunked"), "400 text", true},
		{"chunked in capitals", rawPost(chunks, "TRANSFER-ENCODING: CHUNKED"), "202", true},
		{"chunk size that is none", rawPost("zz\r\n"+rawGood, chunked), "400 invalid-request", true},
		{"negative chunk size", rawPost("-1\r\n"+rawGood, chunked), "400 invalid-request", true},
		{"chunk size over 2^64", rawPost("10000000000000038\r\n"+rawGood, chunked), "400 invalid-request", true},
		{"chunks by line feeds", rawPost(strings.ReplaceAll(chunks, "\r\n", "\n"), chunked), "400 invalid-request", true},
		{"chunk longer than its size", rawPost(strings.Replace(chunks, "}\r\n", "}X\r\n", 1), chunked), "400 invalid-request", true},
		{"chunk extension", rawPost(strings.Replace(chunks, "\r\n", ";a=\"b\"\r\n", 1), chunked), "202", true},
		{"chunk extension with a line feed", rawPost(strings.Replace(chunks, "\r\n", ";a\nb\r\n", 1), chunked), "400 invalid-request", true},
		{"chunks of a byte", rawPost(rawChunks(strings.Split(rawGood, "")...), chunked), "202", true},
		{"a trailer is no header", rawPost(strings.TrimSuffix(chunks, "\r\n")+"Idempotency-Key: /\r\n\r\n", chunked, "Trailer: Idempotency-Key"), "202", true},
		{"a length in the trailer", rawPost(strings.TrimSuffix(chunks, "\r\n")+"Content-Length: 5\r\n\r\n", chunked, "Trailer: Content-Length"), "400 text", true},
		{"a broken trailer", rawPost(strings.TrimSuffix(chunks, "\r\n")+"nothing\r\n\r\n", chunked), "400 invalid-request", true},

		// One after the other.
		{"three at once", rawPost(rawGood, length) + rawHead("GET /nothing HTTP/1.1", "Host: x") + rawPost(rawGood, length), "202, 404 not-found, 202", false},
		{"garbage behind", rawPost(rawGood+"\x00\x00garbage\r\n\r\n", length), "202, 400 text", true},
		{"an empty line before", "\r\n" + rawPost(rawGood, length), "400 text", true},
		{"length too short", rawPost(rawGood[:10], "Content-Length: 10"), "400 invalid-request", false},
		{"no length", rawPost(""), "400 invalid-request", false},
		{"100-continue", rawPost(rawGood, length, "Expect: 100-continue"), "100, 202", false},
		{"another expectation", rawPost(rawGood, length, "Expect: 200-ok"), "417", true},
		{"100-continue for what is refused anyway", rawHead("POST /nothing HTTP/1.1", "Host: x", "Content-Length: 9", "Expect: 100-continue"), "404 not-found", true},
		{"100-continue for what is too long", rawPost("", "Content-Length: 65537", "Expect: 100-continue"), "413 too-large", true},

		// Sizes.
		{"64 KiB", rawPost(long, lengthOf(long)), "202", false},
		{"64 KiB in chunks", rawPost(rawChunks(long[:1], long[1:]), chunked), "202", true},
		{"a byte more", rawPost(" "+long, lengthOf(" "+long)), "413 too-large", true},
		{"a byte more in chunks", rawPost(rawChunks(" ", long), chunked), "413 too-large", true},
		{"a byte more, which never comes", rawPost("", "Content-Length: 65537"), "413 too-large", true},
		{"2^63-1 bytes, which never come", rawPost(rawGood, "Content-Length: 9223372036854775807"), "413 too-large", true},

		// Headers that would be another's.
		{"line feed in a header", rawPost(rawGood, length, "Idempotency-Key: a\nContent-Length: 3"), "400 text", true},
		{"carriage return in a header", rawPost(rawGood, length, "Idempotency-Key: a\rX: y"), "400 text", true},
		{"zero byte in a header", rawPost(rawGood, length, "Idempotency-Key: a\x00"), "400 text", true},
		{"key folded into two lines", rawPost(rawGood, length, "Idempotency-Key: a", " b"), "400 invalid-request", false},
		{"the method in a header", rawPost(rawGood, length, "X-HTTP-Method-Override: DELETE", "X-Original-URL: /nothing"), "202", false},
		{"h2c", rawPost(rawGood, length, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), "202", false},
		{"websocket", rawHead("GET /commands HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"), "405 method-not-allowed", false},
		{"query", strings.Replace(rawPost(rawGood, length), "/commands", "/commands?%zz", 1), "400 invalid-request", false},
		{"encoded path", strings.Replace(rawPost(rawGood, length), "/commands", "/%63ommands", 1), "404 not-found", false},
		{"parameter in the path", strings.Replace(rawPost(rawGood, length), "/commands", "/commands;a=b", 1), "404 not-found", false},
	}
}

func rawQueryRequests() []rawRequest {
	get := func(target string, lines ...string) string {
		return rawHead(append([]string{"GET " + target + " HTTP/1.1", "Host: x"}, lines...)...)
	}
	big := strings.Repeat("a", 70_000)
	return []rawRequest{
		// What is no request.
		{"TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", "400 text", true},
		{"HTTP/0.9", rawHead("GET /users"), "400 text", true},
		{"HTTP/2", rawHead("PRI * HTTP/2.0") + "SM\r\n\r\n", "404 not-found", true},
		{"HTTP/3", rawHead("GET /users HTTP/3.0", "Host: x"), "505 text", true},
		{"http/1.1", rawHead("GET /users http/1.1", "Host: x"), "400 text", true},
		{"HTTP/1.10", rawHead("GET /users HTTP/1.10", "Host: x"), "400 text", true},
		{"two spaces", rawHead("GET  /users HTTP/1.1", "Host: x"), "400 text", true},
		{"a word more", rawHead("GET /users /users HTTP/1.1", "Host: x"), "400 text", true},
		{"no method", rawHead(" /users HTTP/1.1", "Host: x"), "400 text", true},
		{"method that is no token", rawHead("G(ET /users HTTP/1.1", "Host: x"), "400 text", true},
		{"no host", rawHead("GET /users HTTP/1.1"), "400 text", true},
		{"two hosts", rawHead("GET /users HTTP/1.1", "Host: x", "Host: x"), "400 text", true},
		{"host that is none", rawHead("GET /users HTTP/1.1", "Host: <x>"), "400 text", true},
		{"header without a colon", get("/users", "X"), "400 text", true},
		{"header without a name", get("/users", ": x"), "400 text", true},
		{"header folded before there is one", rawHead("GET /users HTTP/1.1", " Host: x"), "400 text", true},
		{"header of 70,000 bytes", get("/users", "X: "+big), "431 text", true},
		{"7,000 headers", get("/users", slices.Repeat([]string{"X: y"}, 7_000)...), "431 text", true},
		{"path of 70,000 bytes", get("/users/" + big), "431 text", true},
		{"query of 70,000 bytes", get("/users?name=" + big), "431 text", true},

		// Strange, and allowed.
		{"line feeds only", strings.ReplaceAll(get("/users"), "\r\n", "\n"), "200", false},
		{"header folded", get("/users", "X: a", "\tb"), "200", false},
		{"HTTP/1.0 without a host", rawHead("GET /users HTTP/1.0"), "200", true},
		{"HTTP/1.0 that wants to go on", rawHead("GET /users HTTP/1.0", "Connection: keep-alive") + rawHead("GET /users HTTP/1.0"), "200", true},
		{"absolute target", get("http://elsewhere.example/users"), "200", false},
		{"a request in the body", get("/users", "Content-Length: "+strconv.Itoa(len(rawHidden))) + rawHidden, "200", false},
		{"a body that never comes", get("/users", "Content-Length: 1000000"), "200", true},

		// Targets.
		{"proxy", rawHead("CONNECT elsewhere.example:443 HTTP/1.1", "Host: x"), "404 not-found", false},
		{"all of the server", rawHead("OPTIONS * HTTP/1.1", "Host: x"), "404 not-found", false},
		{"no slash", get("users"), "400 text", true},
		{"malformed escape", get("/users/%zz"), "400 text", true},
		{"half an escape", get("/users/%2"), "400 text", true},
		{"control character", get("/users/\x01"), "400 text", true},
		{"UTF-8 as it is", get("/users/\xc3\xa9"), "404 user-not-found", false},
		{"no UTF-8", get("/users/%ff"), "404 user-not-found", false},
		{"zero byte", get("/users/%00"), "404 user-not-found", false},
		{"two dots", get("/users/%2e%2e"), "404 user-not-found", false},
		{"two dots as they are", get("/users/../users"), "404 not-found", false},
		{"slash in an id", get("/users/a%2Fhistory"), "404 user-not-found", false},
		{"reserved id, encoded", get("/users/%73tats"), "404 user-not-found", false},
		{"markup", get("/users/<script>"), "404 user-not-found", false},
		{"id of 15,000 characters", get("/users/" + big[:15_000]), "404 user-not-found", false},
		{"fragment", get("/users#x"), "404 not-found", false},
		{"backslash", get(`/users\1`), "404 not-found", false},
		{"two slashes", get("//users"), "404 not-found", false},
		{"another host's", get("//elsewhere.example/users"), "404 not-found", false},
		{"no command's id", get("/users/1/commands/%2e%2e"), "404 command-not-found", false},
		{"history of nobody", get("/users/%0a/history"), "404 user-not-found", false},

		// Queries.
		{"question mark", get("/users?"), "200", false},
		{"malformed", get("/users?limit=%zz"), "400 invalid-request", false},
		{"semicolon", get("/users?limit=1;limit=2"), "400 invalid-request", false},
		{"twice", get("/users?limit=1&limit=1"), "400 invalid-request", false},
		{"5,000 that are unknown", get("/users?" + strings.Repeat("a&", 5_000)), "400 invalid-request", false},
		{"no UTF-8 in the query", get("/users?name=%ff"), "400 invalid-request", false},
		{"zero byte in the query", get("/users?name=%00"), "400 invalid-request", false},
		{"nothing in the query", get("/users?name="), "400 invalid-request", false},
		{"SQL", get("/users?name=%25'%20OR%201=1--"), "200", false},
		{"limit", get("/users?limit=1001"), "400 invalid-request", false},
		{"limit in other digits", get("/users?limit=%D9%A1"), "400 invalid-request", false},
		{"cursor", get("/users?after=AQ"), "400 invalid-request", false},
		{"cursor of a history", get("/users/1/history?after=AQ"), "400 invalid-request", false},
		{"parameters where there are none", get("/stats/users?limit=1"), "400 invalid-request", false},
		{"query of the stream", get("/changes?x"), "400 invalid-request", false},

		// Headers.
		{"Read-After", get("/users", "Read-After: ../../etc/passwd"), "400 invalid-request", false},
		{"Read-After, twice", get("/users", "Read-After: AQ", "Read-After: AQ"), "400 invalid-request", false},
		{"Read-After, empty", get("/users", "Read-After:"), "400 invalid-request", false},
		{"Last-Event-ID", get("/changes", "Last-Event-ID: 42"), "400 invalid-request", false},
		{"If-None-Match", get("/stats/users", `If-None-Match: "`, `If-None-Match: W/`), "200", false},
		{"If-None-Match of everything", get("/stats/users", "If-None-Match: *"), "304", false},
		{"Accept", get("/users", "Accept: text/html;q=x,,,"), "200", false},
		{"Range", get("/users", "Range: bytes=0-0,0-0"), "200", false},

		// Methods.
		{"DELETE", rawHead("DELETE /users/1 HTTP/1.1", "Host: x"), "405 method-not-allowed", false},
		{"TRACE", rawHead("TRACE /users HTTP/1.1", "Host: x", "Cookie: a"), "405 method-not-allowed", false},
		{"get", rawHead("get /users HTTP/1.1", "Host: x"), "405 method-not-allowed", false},
		{"HEAD of nothing", rawHead("HEAD /nothing HTTP/1.1", "Host: x"), "404", false},
		{"POST", rawHead("POST /users HTTP/1.1", "Host: x", "Content-Length: 0"), "405 method-not-allowed", false},
	}
}

// Bytes that no client library would send get exact answers, which tell nothing
// about the inside. Bytes never count as two requests if somebody could see one
// request.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	accepted := 0
	for address, requests := range map[string][]rawRequest{
		s.commandService.at.Commands: rawCommandRequests(), s.readAPI.at.Queries: rawQueryRequests(),
	} {
		for _, r := range requests {
			t.Run(r.name, func(t *testing.T) {
				accepted += strings.Count(r.want, "202")
				got, closed := converse(t, address, r)
				if got != r.want || closed != r.closed {
					t.Errorf("got %s, closed: %v; want %s, closed: %v", got, closed, r.want, r.closed)
				}
			})
		}
	}
	sent := s.dump(eventlog.TopicCommands)
	for _, m := range sent {
		if string(m.Key) != "user/good" {
			t.Errorf("somebody's body became a command of stream %s", m.Key)
		}
	}
	if len(sent) != accepted {
		t.Errorf("topic commands has %d messages, and %d were accepted", len(sent), accepted)
	}
}

// converse sends bytes, and returns the answers, and whether the connection was
// closed. An open connection answers one more request.
func converse(t *testing.T, address string, r rawRequest) (answers string, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// What is wrong is told before the time for a body is over, 30 s.
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, r.bytes); err != nil && !r.closed { // or it may have been refused before its end
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	method, _, _ := strings.Cut(r.bytes, " ")
	var got []string
	for range strings.Count(r.want, ",") + 1 {
		got = append(got, rawAnswer(t, in, method))
	}
	const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, last); err == nil {
		if sending, ok := conn.(*net.TCPConn); ok {
			_ = sending.CloseWrite() // or the rest of a body would be waited for
		}
		if answer := rawAnswer(t, in, http.MethodGet); answer != "nothing" {
			if answer != "404 not-found" {
				t.Errorf("one more request is answered with %s", answer)
			}
			return strings.Join(got, ", "), false
		}
	}
	return strings.Join(got, ", "), true
}

// rawAnswer reads an answer, "nothing" if the connection is closed.
func rawAnswer(t *testing.T, in *bufio.Reader, method string) string {
	t.Helper()
	response, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return "nothing"
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("an answer that is cut off: %v", err)
	}
	all := fmt.Sprint(response.Header, string(body))
	for _, inside := range []string{".go:", "goroutine", "panic", "0xc0", "github.com", "json:", "sql", "sarama", "no such file", "Server:"} {
		if strings.Contains(all, inside) {
			t.Errorf("%q is in the answer %s", inside, all)
		}
	}
	if response.StatusCode >= 500 && response.StatusCode != 501 && response.StatusCode != 505 {
		t.Errorf("answered with %s", response.Status)
	}
	status := strconv.Itoa(response.StatusCode)
	if len(body) == 0 || response.StatusCode < 400 {
		return status
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		return status + " text"
	}
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	err = json.Unmarshal(body, &problem)
	slug, ok := strings.CutPrefix(problem.Type, "urn:millrace:problem:")
	if err != nil || !ok || problem.Title == "" || problem.Detail == "" || problem.Status != response.StatusCode ||
		response.Header.Get("Content-Type") != "application/problem+json" || response.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("not a whole problem: %v %s", response.Header, body)
	}
	return status + " " + slug
}
