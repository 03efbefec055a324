package service

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// holdConnections is a program, because a process has a limit on files and the
// server needs as many. The program opens connections to the addresses of
// commands and queries, as many as the last argument says, each stuck at some
// point, says when all are open, and holds the connections until the input ends.
func holdConnections() {
	commands, queries := os.Args[1], os.Args[2]
	n, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	var failed atomic.Int32
	var dialing sync.WaitGroup
	conns := make([]net.Conn, n)
	const dialers = 32
	for d := range dialers {
		dialing.Go(func() {
			for i := d; i < n; i += dialers {
				address, text := stuck(i, commands, queries)
				conn, err := net.Dial("tcp", address)
				if err == nil {
					_, err = io.WriteString(conn, text)
				}
				if err != nil {
					failed.Add(1)
				}
				conns[i] = conn // open until the process ends
			}
		})
	}
	dialing.Wait()
	fmt.Printf("%d failed\n", failed.Load())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// stuck is the address of a connection, and the bytes that are sent.
func stuck(i int, commands, queries string) (address, text string) {
	switch i % 10 {
	case 0: // follows what happens to all users, and reads nothing
		return queries, "GET /changes HTTP/1.1\r\nHost: x\r\n\r\n"
	case 1: // has been answered, and asks no more
		return queries, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
	case 2, 3, 4: // half a body
		return commands, "POST /commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{\"type\":"
	case 5: // many commands, and the first is not there yet
		return commands, "POST /commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 60\r\n\r\n{\"type\":"
	case 6, 7: // half a head
		return commands, "POST /commands HTTP/1.1\r\nHost: x\r\nX: "
	default: // nothing
		return queries, ""
	}
}

// Ten thousand stuck connections delay nobody, cost some memory each and nothing
// else, and leave nothing behind.
func TestManyStuckConnections(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 200
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < uint64(n)+500 {
		t.Skipf("needs %d open files a process, and the hard limit is %d (ulimit -Hn): %v", n+500, files.Max, err)
	}
	s := newStack(t)
	roles := "broker,command-service,query-service,read-api"
	if s.onKafka() {
		roles = strings.TrimPrefix(roles, "broker,")
	}
	// The server's patience outlasts the test: the clients give up first.
	all := s.service(settings{"roles": roles, "http.header_timeout": "5m", "http.read_timeout": "5m"})
	s.commandService, s.queryService, s.readAPI = all, all, all
	if !s.onKafka() {
		s.broker = all
	}
	all.start()

	// What is there after the first connection, or the first command of each
	// partition, is no leak.
	hold(t, all, 50)()
	s.serves("before")
	s.client.CloseIdleConnections()
	before := usageOf(t, all)

	release := hold(t, all, n)
	during := usageOf(t, all)
	if open := during.files - before.files; during.files > 0 && open < n-100 {
		t.Fatalf("%d files are open for %d connections", open, n)
	}
	slowest := s.serves("during")
	if slowest > 5*time.Second {
		t.Errorf("somebody waited %s for a command and a query", slowest)
	}
	each := (during.memory - before.memory) / n
	t.Logf("%d connections: %d bytes each, %d goroutines; the slowest of others took %s", n, each, during.goroutines-before.goroutines, slowest)
	if limit := 128 << 10; each > limit && n > 1000 {
		t.Errorf("a connection takes %d bytes, and may take %d", each, limit)
	}

	release()
	s.client.CloseIdleConnections()
	// Pools grow by some: the store's connections, the broker's files. What
	// leaks leaks for each connection of a kind.
	pools := 20 + n/100
	eventually(t, "as before", func() error {
		after := usageOf(t, all)
		if after.goroutines > before.goroutines+pools || after.files > before.files+pools {
			return fmt.Errorf("%d goroutines and %d files, and there were %d and %d", after.goroutines, after.files, before.goroutines, before.files)
		}
		return nil
	})
}

// serves sends some commands and queries, to all partitions, and returns how
// long the slowest command took together with a query. A command that comes
// alone waits up to half a second for the read models.
func (s *stack) serves(prefix string) (slowest time.Duration) {
	s.t.Helper()
	const users = 50
	for i := range users {
		began := time.Now()
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":"%s-%d","name":"A"}}`, prefix, i))
		if got, err := s.get("/users?limit=10"); err != nil || got.status != http.StatusOK {
			s.t.Fatalf("GET /users: %s, %v", got, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	eventually(s.t, "the read model", func() error {
		got, err := s.get(fmt.Sprintf("/users/%s-%d", prefix, users-1))
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("got %s", got)
		}
		return err
	})
	return slowest
}

// hold starts another process that holds connections until release, or until the
// test ends.
func hold(t *testing.T, to *service, n int) (release func()) {
	t.Helper()
	cmd := exec.Command("hold", to.at.Commands, to.at.Queries, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		_ = input.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("hold: %v", err)
		}
	})
	t.Cleanup(release)
	if said, err := bufio.NewReader(output).ReadString('\n'); err != nil || said != "0 failed\n" {
		t.Fatalf("of %d connections: %q, %v", n, said, err)
	}
	return release
}

// usage is the memory, goroutines and files of a process.
type usage struct {
	goroutines, memory int // of heap and stacks, in bytes
	files              int // 0 where there is no /proc
}

var (
	goroutinesInProfile = regexp.MustCompile(`goroutine profile: total (\d+)`)
	memoryInProfile     = regexp.MustCompile(`# (?:HeapInuse|Stack) = (\d+)`)
)

func usageOf(t *testing.T, of *service) (u usage) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	ask := func(profile string) string {
		got, err := send(client, http.MethodGet, "http://"+of.process.at.Admin+"/debug/pprof/"+profile, "", "")
		if err != nil || got.status != http.StatusOK {
			t.Fatalf("GET %s: %d, %v", profile, got.status, err)
		}
		return got.body
	}
	sum := func(in string, what *regexp.Regexp) (n int) {
		for _, found := range what.FindAllStringSubmatch(in, -1) {
			one, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			n += one
		}
		return n
	}
	u.goroutines = sum(ask("goroutine?debug=1"), goroutinesInProfile)
	u.memory = sum(ask("heap?debug=1&gc=1"), memoryInProfile)
	if u.goroutines == 0 || u.memory == 0 {
		t.Fatalf("the profiles say %+v", u)
	}
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", of.cmd.Process.Pid))
	u.files = len(open)
	return u
}
