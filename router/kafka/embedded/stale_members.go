package embedded

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// memberListener accepts connections that send a LeaveGroup in the client's name
// when a client hangs up in the middle of joining a group.
//
// kfake expects heartbeats from a member only after the answer to the member's
// JoinGroup. A member that is killed while its JoinGroup waits would stay in the
// group, and would count as a member that has joined: the group would choose the
// dead member as its leader and wait for its assignment.
//
// And kfake doesn't answer a SyncGroup that waits when the member's session ends,
// as happens behind a leader that is frozen. The client would notice after its
// read timeout (30 s), so memberConn hangs up.
//
// No client that lives loses a place by this: a client that hangs up doesn't get
// the answer, and must join again in any case.
type memberListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l memberListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newMemberConn(conn), nil
}

// memberConn is a client's connection as kfake sees it. kfake reads requests
// frame by frame, from one goroutine at a time, and writes each answer at once.
type memberConn struct {
	net.Conn
	frames frameReader
	// farewell has the requests after the client's last request, nil before the
	// client hangs up.
	farewell *bytes.Reader

	mu      sync.Mutex
	changed sync.Cond
	waiting map[int32]groupRequest // requests without an answer, by correlation id
	joining map[string]joiner      // by group
	hungUp  bool
	closed  bool
}

// groupRequest is a request of a group member.
type groupRequest struct {
	key, version int16
	group        string
	session      time.Duration // of a JoinGroup
	expiry       *time.Timer   // of a SyncGroup: hangs up
}

// joiner is a member between its JoinGroup and the answer to its SyncGroup.
type joiner struct {
	id      string
	session time.Duration
}

// expired is the time after the end of a session at which a SyncGroup gets no
// answer any more.
const expired = 500 * time.Millisecond

// farewellTimeout is the longest wait for the answer to a JoinGroup of a client
// that has hung up. kfake doesn't answer a member whose session has ended.
const farewellTimeout = 5 * time.Minute

func newMemberConn(conn net.Conn) *memberConn {
	c := &memberConn{Conn: conn, waiting: map[int32]groupRequest{}, joining: map[string]joiner{}}
	c.changed.L = &c.mu
	return c
}

// Read implements [net.Conn].
func (c *memberConn) Read(p []byte) (int, error) {
	if c.farewell == nil {
		n, err := c.Conn.Read(p)
		c.frames.add(p[:n], c.asked)
		if n > 0 || err == nil {
			return n, nil // an error comes again
		}
		c.farewell = bytes.NewReader(c.leave())
	}
	return c.farewell.Read(p)
}

// asked notes a request of a group member.
func (c *memberConn) asked(frame []byte) {
	r := kbin.Reader{Src: frame}
	key, version, correlation := r.Int16(), r.Int16(), r.Int32()
	r.NullableString() // client id
	request := kmsg.RequestForKey(key)
	request.SetVersion(version)
	if request.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if request.ReadFrom(r.Src) != nil {
		return // kfake hangs up
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	noted := groupRequest{key: key, version: version}
	switch request := request.(type) {
	case *kmsg.JoinGroupRequest:
		noted.group, noted.session = request.Group, time.Duration(request.SessionTimeoutMillis)*time.Millisecond
	case *kmsg.SyncGroupRequest:
		noted.group = request.Group
		if member, ok := c.joining[request.Group]; ok {
			noted.expiry = time.AfterFunc(member.session+expired, c.hangUp)
		}
	}
	c.waiting[correlation] = noted
}

// leave waits for the answers to the client's requests, and returns a LeaveGroup
// for each group that the client was joining. kfake takes a connection's next
// request after the answer to the one before.
func (c *memberConn) leave() (frames []byte) {
	_ = c.Conn.Close() // the client has hung up
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp = true
	if !c.frames.complete() {
		return nil
	}
	defer time.AfterFunc(farewellTimeout, c.hangUp).Stop()
	for len(c.waiting) > 0 && !c.closed {
		c.changed.Wait()
	}
	if c.closed {
		return nil
	}
	for group, member := range c.joining {
		request := kmsg.NewPtrLeaveGroupRequest()
		request.SetVersion(2) // the last version with a single member
		request.Group, request.MemberID = group, member.id
		frames = kmsg.NewRequestFormatter().AppendRequest(frames, request, 0)
	}
	return frames
}

// Write implements [net.Conn]. A failed Write ends the connection, and kfake
// learns of the end from Read, as if the client had hung up after the answer.
func (c *memberConn) Write(p []byte) (int, error) {
	if c.answered(p) {
		return len(p), nil
	}
	if _, err := c.Conn.Write(p); err != nil {
		_ = c.Conn.Close()
	}
	return len(p), nil
}

// answered notes an answer to a group member, and reports whether the client has
// hung up.
func (c *memberConn) answered(frame []byte) (hungUp bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := kbin.Reader{Src: frame}
	_, correlation := r.Int32(), r.Int32()
	to, ok := c.waiting[correlation]
	if !ok {
		return c.hungUp
	}
	delete(c.waiting, correlation)
	c.changed.Broadcast()
	if to.expiry != nil {
		to.expiry.Stop()
	}
	response := kmsg.ResponseForKey(to.key)
	response.SetVersion(to.version)
	if response.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if response.ReadFrom(r.Src) != nil {
		return c.hungUp
	}
	switch response := response.(type) {
	case *kmsg.JoinGroupResponse:
		if delete(c.joining, to.group); response.ErrorCode == 0 {
			c.joining[to.group] = joiner{response.MemberID, to.session}
		}
	case *kmsg.SyncGroupResponse:
		if response.ErrorCode == 0 && !c.hungUp {
			delete(c.joining, to.group) // from now on kfake expects heartbeats
		}
	}
	return c.hungUp
}

// hangUp ends the connection: kfake has forgotten the client's request.
func (c *memberConn) hangUp() { _ = c.Close() }

// Close implements [net.Conn].
func (c *memberConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	for _, request := range c.waiting {
		if request.expiry != nil {
			request.expiry.Stop()
		}
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// frameReader finds the requests JoinGroup and SyncGroup in what a client sends.
type frameReader struct {
	frame   []byte // the beginning of a frame
	skipped int64  // missing bytes of a frame with another request
}

// A frame begins with its size without these 4 bytes, and the key of its request.
const (
	sizeBytes = 4
	keyBytes  = 2
)

// add takes the next bytes, and calls found with each request, without its size.
func (r *frameReader) add(p []byte, found func(frame []byte)) {
	for len(p) > 0 {
		if r.skipped > 0 {
			n := min(r.skipped, int64(len(p)))
			r.skipped -= n
			p = p[n:]
			continue
		}
		n := min(r.missing(), int64(len(p)))
		r.frame = append(r.frame, p[:n]...)
		p = p[n:]
		switch {
		case r.missing() > 0:
		case r.ofMember():
			found(r.frame[sizeBytes:])
			r.frame = nil
		default:
			r.skipped = r.size() - int64(len(r.frame))
			r.frame = r.frame[:0]
		}
	}
}

// missing returns the number of bytes until the next decision: the size and the
// key, and then a member's request as a whole.
func (r *frameReader) missing() int64 {
	want := int64(sizeBytes)
	if len(r.frame) >= sizeBytes {
		want = min(r.size(), sizeBytes+keyBytes)
	}
	if len(r.frame) >= sizeBytes+keyBytes && r.ofMember() {
		want = r.size()
	}
	return want - int64(len(r.frame))
}

// size returns the size of the frame, with the size itself.
func (r *frameReader) size() int64 { return sizeBytes + int64(binary.BigEndian.Uint32(r.frame)) }

func (r *frameReader) ofMember() bool {
	if len(r.frame) < sizeBytes+keyBytes {
		return false
	}
	key := kmsg.Key(binary.BigEndian.Uint16(r.frame[sizeBytes:]))
	return key == kmsg.JoinGroup || key == kmsg.SyncGroup
}

// complete reports whether the client has sent its last request to the end.
func (r *frameReader) complete() bool { return len(r.frame) == 0 && r.skipped == 0 }
