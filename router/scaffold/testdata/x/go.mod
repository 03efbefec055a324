module example.com/no
