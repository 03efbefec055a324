package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawMember is a group member without a client: the test writes each request.
type rawMember struct {
	conn    net.Conn
	session time.Duration
	id      string
}

func newRawMember(t *testing.T, address string) *rawMember {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // maybe for the second time
	return &rawMember{conn: conn, session: 6 * time.Second}
}

func (m *rawMember) ask(t *testing.T, request kmsg.Request) {
	t.Helper()
	if _, err := m.conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 1)); err != nil {
		t.Fatal(err)
	}
}

// hear returns the answer to a request of a version without tags.
func hear[T kmsg.Response](t *testing.T, m *rawMember, response T) T {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(m.conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(m.conn, frame); err != nil {
		t.Fatal(err)
	}
	if err := response.ReadFrom(frame[4:]); err != nil {
		t.Fatal(err)
	}
	return response
}

func (m *rawMember) join() kmsg.Request {
	request := kmsg.NewPtrJoinGroupRequest()
	request.SetVersion(3) // needs one round only
	request.Group, request.MemberID, request.ProtocolType = "group", m.id, "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = int32(m.session.Milliseconds()), 10000
	request.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	return request
}

func (m *rawMember) joined(t *testing.T) *kmsg.JoinGroupResponse {
	t.Helper()
	response := kmsg.NewPtrJoinGroupResponse()
	response.SetVersion(3)
	hear(t, m, response)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		t.Fatal(err)
	}
	m.id = response.MemberID
	return response
}

func (m *rawMember) sync(generation int32) *kmsg.SyncGroupRequest {
	request := kmsg.NewPtrSyncGroupRequest()
	request.SetVersion(2)
	request.Group, request.Generation, request.MemberID = "group", generation, m.id
	return request
}

// share assigns something to each member, as the leader. share returns false if
// a member has left meanwhile.
func (m *rawMember) share(t *testing.T, joined *kmsg.JoinGroupResponse) bool {
	t.Helper()
	request := m.sync(joined.Generation)
	for _, to := range joined.Members {
		request.GroupAssignment = append(request.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: to.MemberID, MemberAssignment: []byte("some")})
	}
	m.ask(t, request)
	response := kmsg.NewPtrSyncGroupResponse()
	response.SetVersion(2)
	return !rebalances(t, hear(t, m, response).ErrorCode)
}

// rebalances reports whether an answer asks for a rebalance.
func rebalances(t *testing.T, code int16) bool {
	t.Helper()
	err := kerr.ErrorForCode(code)
	if err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
		t.Fatal(err)
	}
	return err != nil
}

// beat sends a heartbeat, and reports whether the answer asks for a rebalance.
func (m *rawMember) beat(t *testing.T, generation int32) bool {
	t.Helper()
	request := kmsg.NewPtrHeartbeatRequest()
	request.SetVersion(2)
	request.Group, request.Generation, request.MemberID = "group", generation, m.id
	m.ask(t, request)
	response := kmsg.NewPtrHeartbeatResponse()
	response.SetVersion(2)
	return rebalances(t, hear(t, m, response).ErrorCode)
}

// newMembers returns the address of a broker that knows memberListener.
func newMembers(t *testing.T) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(0), kfake.SeedTopics(2, "topic"), kfake.GroupMinSessionTimeout(time.Millisecond),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			listener, err := new(net.ListenConfig).Listen(t.Context(), network, address)
			return memberListener{listener}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

// soon is much less than the session timeout of the members.
const soon = 3 * time.Second

// hangUp ends the connection, as a killed process does.
func (m *rawMember) hangUp(t *testing.T) {
	t.Helper()
	if err := m.conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// awaitRebalance sends heartbeats until an answer asks for a rebalance.
func (m *rawMember) awaitRebalance(t *testing.T, generation int32) {
	t.Helper()
	for began := time.Now(); !m.beat(t, generation); time.Sleep(time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatal("no rebalance")
		}
	}
}

// A member that is killed while its JoinGroup waits gets partitions all the
// same. At once the partitions go to other members.
func TestStaleMembers(t *testing.T) {
	t.Parallel()
	address := newMembers(t)
	alive := newRawMember(t, address)
	alive.ask(t, alive.join())
	joined := alive.joined(t)
	alive.share(t, joined)

	dead := newRawMember(t, address)
	dead.ask(t, dead.join())
	alive.awaitRebalance(t, joined.Generation) // the broker has the request
	dead.hangUp(t)
	for members := 2; members != 1; members = len(joined.Members) {
		alive.ask(t, alive.join())
		joined = alive.joined(t)
		if alive.share(t, joined) && len(joined.Members) != 1 {
			alive.awaitRebalance(t, joined.Generation)
		}
	}
}

// A leader that is killed before its SyncGroup holds up nobody.
func TestStaleLeader(t *testing.T) {
	t.Parallel()
	address := newMembers(t)
	leader := newRawMember(t, address)
	leader.ask(t, leader.join())
	joined := leader.joined(t)
	leader.share(t, joined)

	alive := newRawMember(t, address)
	alive.ask(t, alive.join())
	leader.awaitRebalance(t, joined.Generation)
	leader.ask(t, leader.join())
	joined = leader.joined(t)
	if alive.joined(t).LeaderID != leader.id {
		t.Fatal("another leader")
	}
	began := time.Now()
	alive.ask(t, alive.sync(joined.Generation))
	leader.hangUp(t)
	response := kmsg.NewPtrSyncGroupResponse()
	response.SetVersion(2)
	if !rebalances(t, hear(t, alive, response).ErrorCode) {
		t.Fatal("a dead leader has assigned partitions")
	}
	if took := time.Since(began); took > soon {
		t.Errorf("the answer came after %s", took)
	}
	alive.ask(t, alive.join())
	joined = alive.joined(t)
	alive.share(t, joined)
	if len(joined.Members) != 1 {
		t.Errorf("%d members", len(joined.Members))
	}
}

// A member whose session ends while the leader sleeps can join again: the broker
// hangs up.
func TestSleepingLeader(t *testing.T) {
	t.Parallel()
	address := newMembers(t)
	leader := newRawMember(t, address)
	leader.ask(t, leader.join())
	joined := leader.joined(t)
	leader.share(t, joined)

	alive := newRawMember(t, address)
	alive.session = 100 * time.Millisecond
	alive.ask(t, alive.join())
	leader.awaitRebalance(t, joined.Generation)
	leader.ask(t, leader.join())
	leader.joined(t)
	alive.ask(t, alive.sync(alive.joined(t).Generation))
	began := time.Now()
	if _, err := alive.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the broker did not hang up: %v", err)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("the broker hung up after %s", took)
	}
}

// A member with partitions that hangs up may connect again: only silence for its
// session timeout ends the membership.
func TestMemberConnectsAgain(t *testing.T) {
	t.Parallel()
	address := newMembers(t)
	member := newRawMember(t, address)
	member.ask(t, member.join())
	joined := member.joined(t)
	member.share(t, joined)
	member.hangUp(t)
	again := newRawMember(t, address)
	again.id = member.id
	for range 20 {
		if again.beat(t, joined.Generation) {
			t.Fatal("a rebalance")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The requests of members are found among others, wherever a Read ends.
func TestFrameReader(t *testing.T) {
	t.Parallel()
	member := &rawMember{id: "a"}
	var sent []byte
	var want []string
	for _, request := range []kmsg.Request{
		kmsg.NewPtrMetadataRequest(), member.join(), kmsg.NewPtrHeartbeatRequest(), member.sync(1), member.join(), kmsg.NewPtrMetadataRequest(),
	} {
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, request, 1)
		if key := kmsg.Key(request.Key()); key == kmsg.JoinGroup || key == kmsg.SyncGroup {
			want = append(want, string(frame[sizeBytes:]))
		}
		sent = append(sent, frame...)
	}
	sent = append(sent, 0, 0, 0, 0) // a frame without a key
	for size := 1; size < len(sent); size++ {
		var r frameReader
		var got []string
		for part := range slices.Chunk(sent, size) {
			r.add(part, func(frame []byte) { got = append(got, string(frame)) })
		}
		if !slices.Equal(got, want) || !r.complete() {
			t.Fatalf("%d bytes a Read: got %q, want %q", size, got, want)
		}
	}
	var r frameReader
	if r.add(sent[:len(sent)/2], func([]byte) {}); r.complete() {
		t.Error("half a request is complete")
	}
}
