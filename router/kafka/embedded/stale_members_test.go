package embedded

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawMember is a group member without a client: the test writes each request.
type rawMember struct {
	conn net.Conn
	id   string
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
	return &rawMember{conn: conn}
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
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = 6000, 2000 // the test waits for the latter once
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

// share assigns something to each member, as the leader.
func (m *rawMember) share(t *testing.T, joined *kmsg.JoinGroupResponse) {
	t.Helper()
	request := kmsg.NewPtrSyncGroupRequest()
	request.SetVersion(2)
	request.Group, request.Generation, request.MemberID = "group", joined.Generation, m.id
	for _, to := range joined.Members {
		request.GroupAssignment = append(request.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: to.MemberID, MemberAssignment: []byte("some")})
	}
	m.ask(t, request)
	response := kmsg.NewPtrSyncGroupResponse()
	response.SetVersion(2)
	if err := kerr.ErrorForCode(hear(t, m, response).ErrorCode); err != nil {
		t.Fatal(err)
	}
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
	err := kerr.ErrorForCode(hear(t, m, response).ErrorCode)
	if err != nil && err != kerr.RebalanceInProgress { //nolint:errorlint // never wrapped
		t.Fatal(err)
	}
	return err != nil
}

// A member that is killed while it joins a group gets partitions all the same.
// Soon the partitions go to other members.
func TestStaleMembers(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(0), kfake.SeedTopics(2, "topic"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	newStaleMembers(50 * time.Millisecond).watch(cluster)
	address := cluster.ListenAddrs()[0]

	alive := newRawMember(t, address)
	alive.ask(t, alive.join())
	joined := alive.joined(t)
	alive.share(t, joined)
	if time.Sleep(60 * time.Millisecond); alive.beat(t, joined.Generation) {
		t.Fatal("a rebalance without a stale member")
	}

	dead := newRawMember(t, address)
	dead.ask(t, dead.join())
	for !alive.beat(t, joined.Generation) {
		time.Sleep(time.Millisecond) // until the broker has the request
	}
	if err := dead.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for len(joined.Members) != 2 {
		alive.ask(t, alive.join())
		joined = alive.joined(t)
	}
	alive.share(t, joined)
	for began := time.Now(); !alive.beat(t, joined.Generation); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("a stale member keeps its partitions")
		}
	}
	alive.ask(t, alive.join())
	joined = alive.joined(t)
	alive.share(t, joined)
	if len(joined.Members) != 1 {
		t.Errorf("%d members", len(joined.Members))
	}
}
