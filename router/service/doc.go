// Package service is the program: command line, configuration, and the roles of
// a process, wired by hand.
package service
