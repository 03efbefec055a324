package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func padded(line string, length int) string {
	return line + strings.Repeat(" ", length-len(line))
}

// Wrong lines are reported in order, with their number in the body, and take
// nothing from other lines.
func TestImportLines(t *testing.T) {
	const (
		good    = maxBody
		tooLong = maxBody + 1
	)
	tests := []struct {
		name, body string
		want       []string
	}{
		{"nothing", "", nil},
		{"empty lines", "\n\r\n\n", nil},
		{"one", create("a", "1") + "\n", []string{"1 accepted a"}},
		{"no end of line", create("a", "1"), []string{"1 accepted a"}},
		{"CR and LF", create("a", "1") + "\r\n" + create("b", "2") + "\r\n", []string{"1 accepted a", "2 accepted b"}},
		{"CR at the end", create("a", "1") + "\r", []string{"1 accepted a"}},
		{"empty lines between", "\n" + create("a", "1") + "\n\r\n\n" + create("b", "2"), []string{"2 accepted a", "5 accepted b"}},
		{"white space is no empty line", " \n" + create("a", "1") + "\n\t", []string{"1 invalid-request 400", "2 accepted a", "3 invalid-request 400"}},
		{
			"no JSON", "}\n" + create("a", "1") + "\n" + create("b", "2") + create("c", "2") + "\nnull\n[1]\n" + create("d", "3"),
			[]string{"1 invalid-request 400", "2 accepted a", "3 invalid-request 400", "4 invalid-request 400", "5 invalid-request 400", "6 accepted d"},
		},
		{
			"one object over two lines", "{\"type\":\"deleteUser\",\n\"payload\":{\"id\":1}}",
			[]string{"1 invalid-request 400", "2 invalid-request 400"},
		},
		{
			"no UTF-8", strings.Replace(create("a", "1"), "Ann", "A\xff", 1) + "\n" + create("b", "2") + "\n\xff\xfe",
			[]string{"1 invalid-request 400", "2 accepted b", "3 invalid-request 400"},
		},
		{"byte order mark", "\ufeff" + create("a", "1") + "\n" + create("b", "2"), []string{"1 invalid-request 400", "2 accepted b"}},
		{"wrong command", `{"type":"createUser","id":"a","payload":{"id":1}}` + "\n" + create("b", "1"), []string{"1 invalid-request 400", "2 accepted b"}},
		{"as long as may be", padded(create("a", "1"), good) + "\n" + create("b", "2"), []string{"1 accepted a", "2 accepted b"}},
		{"as long as may be, CR and LF", padded(create("a", "1"), good) + "\r\n" + create("b", "2"), []string{"1 accepted a", "2 accepted b"}},
		{"as long as may be, at the end", padded(create("a", "1"), good), []string{"1 accepted a"}},
		{"too long", padded(create("a", "1"), tooLong) + "\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"too long, CR and LF", padded(create("a", "1"), tooLong) + "\r\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"far too long", padded(create("a", "1"), 5*tooLong) + "\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"too long at the end", create("a", "1") + "\n" + padded(create("b", "2"), tooLong), []string{"1 accepted a", "2 too-large 413"}},
		{"longer than the buffer at the end", create("a", "1") + "\n" + padded(create("b", "2"), tooLong+2), []string{"1 accepted a", "2 too-large 413"}},
		{"far too long at the end", create("a", "1") + "\n" + padded(create("b", "2"), 5*tooLong), []string{"1 accepted a", "2 too-large 413"}},
		{"the same id twice", create("a", "1") + "\n" + create("a", "1"), []string{"1 accepted a", "2 accepted a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCommandServer(t, nil)
				c := startImport(t, dialInMemory(t, s), "Content-Length", fmt.Sprint(len(test.body)))
				if test.body != "" { // else the answer may have ended, and the connection with it, before nothing is written
					go c.raw(test.body)
				}
				c.wantEnd(test.want...)
				h := c.answer.Header
				if c.answer.StatusCode != 200 || h.Get("Content-Type") != "application/x-ndjson" || h.Get("Preference-Applied") != "" {
					t.Errorf("got %d %v", c.answer.StatusCode, h)
				}
				var accepted int
				for _, result := range test.want {
					accepted += strings.Count(result, "accepted")
				}
				if n := len(s.sentIDs()); n != accepted {
					t.Errorf("sent %d commands, want %d", n, accepted)
				}
				synctest.Wait()
				if n := s.states.Waiting(); n != 0 {
					t.Errorf("%d still wait", n)
				}
			})
		})
	}
}

// Within the limit, lines are the lines of bytes.Split; longer lines are
// skipped, each on its own.
func FuzzReadLine(f *testing.F) {
	for _, body := range []string{"", "\n", "a", "a\nb", "a\r\n\r\nb\r", "\r\r\n", "\n\n\n", "a\r\rb\n\x00\xff\n"} {
		f.Add([]byte(body), uint16(0), uint16(0))
		f.Add([]byte(body), uint16(len(body)/2), uint16(maxBody/4))
		f.Add([]byte(body), uint16(len(body)), uint16(maxBody/4+1))
	}
	f.Fuzz(func(t *testing.T, body []byte, at, length uint16) {
		// A run in the middle brings lines to the limit: fuzzing alone would
		// not make them so long.
		i := int(at) % (len(body) + 1)
		body = slices.Concat(body[:i], bytes.Repeat([]byte("x"), 4*int(length)), body[i:])

		in := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(body)), maxBody+len("\r\n"))
		for number, want := range bytes.Split(body, []byte("\n")) {
			want = bytes.TrimSuffix(want, []byte("\r"))
			text, long, err := readLine(in)
			if long != (len(want) > maxBody) || !long && !bytes.Equal(text, want) {
				t.Fatalf("line %d: got %d bytes, too long: %v; want %d bytes", number, len(text), long, len(want))
			}
			if last := number == bytes.Count(body, []byte("\n")); last != errors.Is(err, io.EOF) || !last && err != nil {
				t.Fatalf("line %d: %v", number, err)
			}
		}
	})
}
