document.title = "Pelago";
