"""What benchmarks of the service share: wrk, servers as processes, and the applications that toolkits are compared with."""
