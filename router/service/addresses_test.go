package service

import (
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// anyPort is an address of which the system chooses the port.
const anyPort = "localhost:0"

// ownAddress is an address of a test, where the test's processes listen, one after
// another. On Linux the system gives the port to nobody else while no process
// listens: a socket is bound to the port, and doesn't listen. Elsewhere such a socket
// would keep the processes out.
func ownAddress(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		listener, err := net.Listen("tcp", anyPort)
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return listener.Addr().String()
	}
	host, err := net.ResolveTCPAddr("tcp4", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock() // or a process of another test would have the socket too
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte(host.IP.To4())})
	}
	if err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	inet, ok := at.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("bound to %T", at)
	}
	return net.JoinHostPort("localhost", strconv.Itoa(inet.Port))
}
