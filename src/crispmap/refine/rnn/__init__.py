"""The recurrent refiner of Maggiori, Charpiat, Tarabalka and Alliez."""
